// Every device, live.
import { $, api, action, badge, bytes, failed, faultWords, fill, follow, h, may, meter, operate, quote, renew, submit } from "/static/core.js";

const devices = new Map();
const strips = new Map();
const WATCHED = 16;
const cards = h("div", { className: "fleet" });
let boards = [];

const lit = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

function strip(name) {
  const leds = strips.get(name);
  if (!leds) return null;
  const on = leds.filter((colour) => colour.some(Boolean)).length;
  const row = h("div", { className: "strip", role: "img", "aria-label": `LED strip, ${on} of ${leds.length} lit` },
    leds.slice(0, 24).map(() => h("i")));
  leds.slice(0, 24).forEach((colour, index) => { if (colour.some(Boolean)) row.children[index].style.background = lit(colour); });
  return row;
}

function card(device) {
  const apps = device.apps ?? [];
  return h("a", { className: "card device", href: `/devices/${quote(device.id)}`, "data-device": device.id },
    h("div", { className: "top" }, h("div", {}, h("strong", {}, device.id), h("p", { className: "muted small" }, `${device.board} · ${device.engine}`)), badge(device.state)),
    strip(device.id),
    device.state === "connected" && device.memory ? meter("app memory", `${bytes(device.memory - device.memory_free)} of ${bytes(device.memory)}`, 1 - device.memory_free / device.memory) : null,
    h("div", { className: "chips" }, apps.length
      ? apps.map((app) => h("span", { className: `chip ${app.state === "failed" ? "bad" : ""}` }, `${app.name}${app.state === "running" ? "" : ` (${app.state})`}`))
      : h("span", { className: "muted small" }, "no apps"),
    (device.faults ?? []).map((fault) => h("span", { className: "chip bad", title: faultWords(fault) }, fault.fault))));
}

const blank = () => h("div", { className: "card empty" },
  h("svg:svg", { viewBox: "0 0 88 88", "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": 2 },
    h("svg:rect", { x: 20, y: 20, width: 48, height: 48, rx: 8 }),
    h("svg:path", { d: "M32 20V8M44 20V8M56 20V8M32 80V68M44 80V68M56 80V68M20 32H8M20 44H8M20 56H8M80 32H68M80 44H68M80 56H68", "stroke-linecap": "round" }),
    h("svg:circle", { cx: 44, cy: 44, r: 9 })),
  h("h2", {}, "No boards yet"),
  h("p", { className: "muted" }, "Boot one: it runs real firmware in an emulator, here on this machine."),
  may("operator") ? h("a", { className: "button", href: "/welcome" }, "Set up the first boards") : null);

let scheduled = false;
function draw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    const all = [...devices.values()].sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
    const count = (state) => all.filter((device) => device.state === state).length;
    const bad = count("crashed") + count("unreachable");
    $("summary").textContent = all.length ? `${all.length} ${all.length === 1 ? "device" : "devices"}, ${count("connected")} connected${bad ? `, ${bad} in trouble` : ""}` : "Nothing here yet.";
    $("tools").hidden = all.length < 6;
    const wanted = $("filter").value.trim().toLowerCase();
    const shown = wanted ? all.filter((device) => [device.id, device.board, device.engine, device.state, ...(device.apps ?? []).map((app) => app.name)].join(" ").toLowerCase().includes(wanted)) : all;
    renew(cards, shown.map((device) => [device, strips.get(device.id)]), ([device]) => device.id, ([device]) => card(device));
    if (!shown.length) fill($("fleet"), !all.length ? blank() : h("div", { className: "card empty slim" }, h("p", { className: "muted" }, `No device matches “${wanted}”.`)));
    else if (!cards.isConnected) fill($("fleet"), cards);
    $("fleet").setAttribute("aria-busy", "false");
  });
}
$("filter").addEventListener("input", draw);

function take(device) {
  if (device.state === "forgotten") devices.delete(device.id);
  else devices.set(device.id, device);
  if (device.state !== "connected") strips.delete(device.id);
  draw();
}

function takeParts({ device, parts }) {
  const strip = Object.values(parts).find((part) => part.leds);
  if (strip) { strips.set(device, strip.leds); draw(); }
}

// -- booting

const dialog = $("boot-dialog");
const about = () => {
  const board = boards.find((each) => each.name === $("boot-board").value);
  $("boot-about").textContent = board ? `${board.title}. ${board.cpu || board.engine}${board.parts.length ? `, with ${board.parts.map((part) => part.name).join(", ")}` : ""}.` : "";
};
action($("boot"), async () => {
  $("boot-progress").textContent = "";
  boards = (await api("GET", "boards")).boards.filter((board) => board.engine !== "serial");
  fill($("boot-board"), boards.map((board) => h("option", { value: board.name }, board.name)));
  $("boot-board").value = boards.some((board) => board.name === "mps2-an385") ? "mps2-an385" : boards[0]?.name;
  about();
  dialog.showModal();
});
$("boot-board").addEventListener("change", about);
$("boot-cancel").addEventListener("click", () => dialog.close());
submit($("boot-form"), async () => {
  const name = $("boot-name").value.trim();
  let left = false; // who does not wait, and asks for it anew, has the dialog of that
  dialog.addEventListener("close", () => { left = true; }, { once: true });
  await operate("devices", { board: $("boot-board").value, count: Number($("boot-count").value), name: name || null, development: $("boot-development").checked },
    (progress) => { if (!left) $("boot-progress").textContent = progress.text; });
  if (!left) dialog.close();
});

// -- begin, now that every button works

async function load() {
  const found = await api("GET", "devices");
  devices.clear();
  found.devices.forEach(take);
  draw();
}
try { await load(); } catch (error) { failed(error); } // which of them are watched
follow({ load, device: take, parts: takeParts }, { watch: [...devices.keys()].slice(0, WATCHED).join(",") });
