// One query over all that was said.
import { $, action, api, asEvent, clock, failed, fill, h, short, submit, tell } from "/static/core.js";

const form = $("query");
const wanted = new URLSearchParams(location.search);
for (const field of form.elements) if (field.name && wanted.has(field.name)) field.value = wanted.get(field.name);
let next = null;
let asked = 0;

function row(line) {
  const [, words, whole] = tell(asEvent(line));
  const fields = Object.entries(line.fields).filter(([, value]) => value !== null && value !== "").map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : short(value)}`).join(" ");
  return h("div", { className: "line" },
    h("time", { title: new Date(line.time * 1000).toISOString() }, clock(line.time)),
    h("span", { className: `level ${line.level}` }, line.level),
    h("span", {}, [line.component, line.device, line.app].filter(Boolean).join(" · ")),
    h("span", { className: "text" }, line.kind.endsWith(".log") ? line.text : words, fields && !whole ? h("span", { className: "fields" }, ` ${fields}`) : null),
    line.request ? h("button", { type: "button", className: "chip", title: "All of this request", "aria-label": `All of request ${line.request.slice(0, 8)}`, onclick: () => { form.reset(); form.elements.request.value = line.request; form.requestSubmit(); } }, line.request.slice(0, 8)) : h("span"));
}

async function find(more = false) {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  if (more) query.set("before", next);
  const mine = asked += 1;
  const found = await api("GET", `logs?${query}`);
  if (mine !== asked) return; // something else was asked for meanwhile
  next = found.next;
  $("older").hidden = next === null;
  $("lines").setAttribute("aria-busy", "false");
  const rows = found.lines.map(row);
  if (more) $("lines").querySelector(".lines").append(...rows);
  else fill($("lines"), rows.length ? h("div", { className: "card lines" }, rows) : h("div", { className: "card empty slim" }, h("p", {}, "Nothing like that was said."), h("p", { className: "muted small" }, "Fewer words or another level may find more.")));
}
submit(form, () => find());
action($("older"), () => find(true));
find().catch(failed);
api("GET", "devices").then(({ devices }) => fill($("devices"), devices.map((device) => h("option", { value: device.id }))), failed);
