// From a template to a board: edit, compile with errors at their lines, look, deploy.
import { $, action, api, badge, bytes, fill, follow, h, may, operate, quote, renew, submit } from "/static/core.js";
import { HARMLESS, signer } from "/static/sign.js";

const ABOUT = {
  alarm: "Watches room and air: LEDs in colours, sounds when they get bad.",
  blinker: "An LED that blinks. The shortest thing one can see.",
  hello: "A line in the log, a function to call.",
  network: "Publishes what it measures and takes commands.",
  sensor: "Reads the DHT22 and logs what it says.",
};
const LANGUAGES = { c: "C", rust: "Rust", assemblyscript: "AssemblyScript", wat: "WebAssembly text" };
let files = {};
let current = "";
let made = null;
let marks = [];
const devices = new Map();

function step(number) {
  for (let each = 1; each <= 4; each += 1) $(`step-${each}`).hidden = each !== number;
  [...$("steps").children].forEach((item, index) => item.toggleAttribute("aria-current", index + 1 === number));
  $("steps").children[number - 1].setAttribute("aria-current", "step");
  const title = $(`step-${number}`).querySelector("h2");
  title.tabIndex = -1;
  if (number > 1) title.focus();
}
document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => step(Number(button.dataset.step))));

// -- 1

const [{ templates, languages }, { boards }] = await Promise.all([api("GET", "templates"), api("GET", "boards")]);
fill($("templates"), templates.map((name, index) => h("label", { className: "choice" },
  h("input", { type: "radio", name: "template", value: name, checked: name === "alarm" || (index === 0 && !templates.includes("alarm")) }),
  h("span", {}, h("strong", {}, name), h("span", { className: "muted small" }, ABOUT[name] ?? "")))));
fill($("language"), languages.map(({ name }) => h("option", { value: name }, LANGUAGES[name] ?? name)));
fill($("target-board"), h("option", { value: "" }, "any board"), boards.map((board) => h("option", { value: board.name }, board.name)));

submit($("choose"), async () => {
  const template = document.querySelector("[name=template]:checked").value;
  const found = await api("GET", `templates/${quote(template)}/${quote($("language").value)}?name=${quote($("name").value)}`);
  files = found.files;
  delete files["README.md"];
  current = Object.keys(files).find((name) => name.startsWith("src/")) ?? Object.keys(files)[0];
  marks = [];
  fill($("errors"));
  showFiles();
  step(2);
});
$("begin").disabled = false; // from here on it does something

// -- 2

const source = $("source"), gutter = $("gutter");
function keep() { files[current] = source.value; }
function showFiles() {
  const names = Object.keys(files).sort((a, b) => Number(b.startsWith("src/")) - Number(a.startsWith("src/")));
  fill($("files"), names.map((name) => h("button", {
    type: "button", role: "tab", "aria-selected": String(name === current), tabIndex: name === current ? 0 : -1,
    onclick: () => { keep(); current = name; showFiles(); source.focus(); },
    onkeydown: (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      keep(); current = names[(names.indexOf(name) + move + names.length) % names.length]; showFiles();
      $("files").querySelector("[aria-selected=true]").focus();
    },
  }, name)));
  source.value = files[current];
  source.setAttribute("aria-label", `Source of ${current}`);
  number();
}
function number() {
  const count = source.value.split("\n").length;
  fill(gutter, Array.from({ length: count }, (_, index) => {
    const mark = marks.find((each) => each.file === current && each.line === index + 1);
    return h("b", { className: mark?.severity ?? "", title: mark?.message ?? "" }, String(index + 1));
  }), h("b", {}, " "));
  gutter.scrollTop = source.scrollTop;
}
source.addEventListener("input", number);
source.addEventListener("scroll", () => { gutter.scrollTop = source.scrollTop; });

function go(mark) {
  if (files[mark.file] !== undefined && mark.file !== current) { keep(); current = mark.file; showFiles(); }
  const lines = source.value.split("\n");
  const at = lines.slice(0, mark.line - 1).join("\n").length + (mark.line > 1 ? 1 : 0);
  source.focus();
  source.setSelectionRange(at, at + (lines[mark.line - 1]?.length ?? 0));
  source.scrollTop = (mark.line - 6) * 20;
}

action($("compile"), async () => {
  keep();
  fill($("errors"), h("p", { className: "muted" }, "Compiling…"));
  const compiling = files;
  source.readOnly = true; // what comes back is of what is seen
  const result = await api("POST", "compile", { files, board: $("target-board").value || null })
    .catch((error) => ({ compiled: null, diagnostics: [], output: [error.message, error.hint].filter(Boolean).join("\n") }));
  source.readOnly = false;
  if (files !== compiling) return; // another template was chosen meanwhile
  marks = result.diagnostics;
  number();
  const notes = marks.map((mark) => h("button", { type: "button", className: mark.severity, onclick: () => go(mark) }, `${mark.file}:${mark.line}:${mark.column} ${mark.message}`));
  fill($("errors"), notes.length ? h("div", { className: "diagnostics" }, notes) : null,
    result.compiled ? null : h("details", { open: !notes.length }, h("summary", {}, "What the compiler says"), h("pre", { className: "output", tabIndex: 0 }, result.output)));
  if (!result.compiled) { const first = marks.find((mark) => mark.severity === "error"); if (first) go(first); return; }
  made = result;
  const { compiled } = result;
  const permits = compiled.permissions;
  const facts = [
    ["App", compiled.name],
    ["Size", bytes(compiled.size) + (compiled.optimiser ? `, made smaller by ${compiled.optimiser}` : "")],
    ["Memory", `${bytes(compiled.memory)} on the device`],
    ["May use", permits?.interfaces.length ? h("span", { className: "chips" }, permits.interfaces.map((each) => h("span", { className: "chip" }, each)), permits.i2c.map((each) => h("span", { className: "chip" }, `i2c 0x${each.toString(16)}`))) : `what touches nothing: ${HARMLESS.join(", ")}`],
    ["Calls", compiled.imports.length ? h("span", { className: "chips" }, compiled.imports.map((each) => h("span", { className: "chip mono" }, each.replace(/^lab:device\//, "")))) : "nothing"],
    ["Offers", compiled.exports.join(", ") || "nothing"],
  ];
  fill($("facts"), facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  step(3);
});
if (!may("operator")) { $("compile").disabled = true; $("compile").title = "takes the role operator"; }

// -- 3, 4

action($("to-deploy"), async () => {
  showTargets();
  fill($("outcome"));
  step(4);
});

function showTargets() {
  const checked = new Map([...document.querySelectorAll("[name=target]")].map((box) => [box.value, box.checked]));
  const found = [...devices.values()].filter((device) => device.state === "connected");
  const rows = found.map((device) => [device.id, `${device.board}, ${bytes(device.memory_free)} free${device.development ? ", takes unsigned apps" : ""}`]);
  renew($("targets"), rows.length ? rows : [["", ""]], ([id]) => id, ([id, about]) => id ? h("label", { className: "choice" },
    h("input", { type: "checkbox", name: "target", value: id, checked: checked.get(id) ?? found.length === 1 }),
    h("span", {}, h("strong", {}, id), h("span", { className: "muted small" }, about)))
    : h("p", { className: "muted" }, "No board is connected. ", h("a", { href: "/" }, "Boot one"), ", this page will notice."));
}

const signed = signer($("key"), $("key-status"));
action($("deploy"), async () => {
  const targets = [...document.querySelectorAll("[name=target]:checked")].map((box) => box.value);
  if (!targets.length) throw new Error("choose a board");
  const module = Uint8Array.from(atob(made.module), (character) => character.charCodeAt(0));
  const body = await signed(made.compiled.name, module, made.compiled.version);
  sent = new Map();
  said = new Map();
  const rows = new Map(targets.map((name) => [name, h("progress", { max: 1, value: 0, "aria-label": `Transfer to ${name}` })]));
  fill($("outcome"), [...rows].map(([name, bar]) => h("p", {}, name, bar)));
  const result = await operate(`deployments?name=${quote(made.compiled.name)}&to=${targets.map(quote).join(",")}`, body, (progress) => {
    if (progress.total) rows.get(progress.device).value = progress.sent / progress.total;
  });
  sent = new Map(result.apps.map((app) => [app.device, said.get(app.device) ?? app]));
  showOutcome();
});

// What became of it, also after its trial; and what devices said of it before the answer was here.
let sent = new Map(), said = new Map();
function showOutcome() {
  fill($("outcome"), [...sent].map(([device, app]) => h("p", { className: "row" }, h("a", { href: `/devices/${quote(device)}` }, device), badge(app.state),
    app.reason || (app.state === "trial" ? "It runs, and is confirmed when it has proved itself." : ""))));
}
function note(event) {
  if (event.kind !== "app.state" || event.app !== made?.compiled.name) return;
  said.set(event.device, event.data);
  if (!sent.has(event.device)) return;
  sent.set(event.device, event.data);
  showOutcome();
}

async function load() {
  for (const device of (await api("GET", "devices")).devices) devices.set(device.id, device);
  if (!$("step-4").hidden) showTargets();
}
follow({
  load,
  device: (device) => { devices.set(device.id, device); if (!$("step-4").hidden) showTargets(); },
  event: note,
});
