// What goes wrong on a board on demand: what is in force, and what can be. docs/faults.md
import { $, action, api, clock, failed, faultWords, fill, h, may, quote, renew, submit } from "/static/core.js";

const PART_FAILS = "sensor.fail";

/** Has the page's card show, set and clear a device's faults. Returns what is told of its description and of its parts' names. */
export function faults(id) {
  const base = `devices/${quote(id)}`;
  const choice = $("fault"), fields = $("fault-parameters"), status = $("fault-status");
  let known = null, engine = null, parts = [];

  function row(fault) {
    const words = faultWords(fault);
    const facts = [`since ${clock(fault.since)}`, fault.ends && `until ${clock(fault.ends)}`, fault.hits && `${fault.hits.toLocaleString()} bytes hit`];
    const clear = h("button", { type: "button", className: "small", "aria-label": `Clear ${words}` }, "Clear");
    // By its name all parts' faults would end; one part's does when nothing is wrong with it any more.
    action(clear, () => fault.fault === PART_FAILS ? api("POST", `${base}/parts`, { set: [[`${fault.parameters.part}.fault`, "none"]] })
      : api("DELETE", `${base}/faults?fault=${quote(fault.fault)}`));
    return h("li", {}, h("div", {}, h("code", {}, words), h("p", { className: "muted small" }, facts.filter(Boolean).join(", "))), may("operator") ? clear : null);
  }

  const options = (names, chosen) => names.map((each) => h("option", { selected: each === chosen }, each));

  /** The field of a parameter, with its range and default. */
  function field({ name, type, unit, low, high, choices, default: usual, required, meaning }) {
    const id = `fault-${name}`;
    const input = name === "part" ? h("select", { id, name }, options(parts))
      : choices.length ? h("select", { id, name }, options(choices, usual))
      : h("input", { id, name, type: type === "string" ? "text" : "number", min: low, max: high, step: type === "number" ? "any" : "1", required, placeholder: usual ?? "" });
    return h("div", {}, h("label", { htmlFor: id, title: meaning }, h("span", { className: "mono" }, name), unit && h("span", { className: "muted" }, `, ${unit}`)), input);
  }

  function choose() {
    const fault = known.find((each) => each.fault === choice.value);
    $("fault-about").textContent = fault.meaning.replaceAll("`", "");
    const usual = (parameter) => parameter.default !== null;
    fill(fields, [...fault.parameters].sort((a, b) => usual(a) - usual(b)).map(field)); // what has to be given comes first
    fields.hidden = !fault.parameters.length;
    status.textContent = "";
    status.className = "";
  }

  async function offer() {
    if (!choice) return;
    known ??= (await api("GET", "faults")).faults;
    const possible = known.filter((each) => each.targets.includes("device") && each.engines.includes(engine));
    fill(choice, options(possible.map((each) => each.fault), choice.value));
    choose();
    $("set-fault").disabled = false;
  }

  choice?.addEventListener("change", choose);
  action($("clear-faults"), () => api("DELETE", `${base}/faults`));
  submit($("fault-form"), async () => {
    const given = [...fields.querySelectorAll("[name]")].filter((each) => each.value !== "").map((each) => [each.name, each.value]);
    const duration = Number($("fault-for").value) || null;
    status.textContent = status.className = "";
    try {
      const set = await api("POST", `${base}/faults`, { fault: choice.value, parameters: Object.fromEntries(given), duration });
      status.textContent = set.ends === set.since ? `${faultWords(set)}: done.` : ""; // what lasts is in the list
    } catch (error) {
      status.textContent = [error.message, error.hint].filter(Boolean).join(". ");
      status.className = "notice bad";
    }
  });

  return {
    device(now) {
      const inForce = now.faults ?? [];
      renew($("faults"), inForce, faultWords, row);
      $("no-faults").hidden = inForce.length > 0;
      $("clear-faults")?.toggleAttribute("hidden", inForce.length < 2);
      if (engine !== now.engine) { engine = now.engine; offer().catch(failed); }
    },
    parts(names) {
      if (String(names) === String(parts)) return;
      parts = names;
      const field = fields?.querySelector("[name=part]"); // the others stay as they were filled in
      if (field) fill(field, options(parts, field.value));
    },
  };
}
