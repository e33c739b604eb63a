// One board: its picture, its sensors, its apps, what it says.
import { $, action, ago, api, appName, asEvent, asker, badge, bytes, clock, day, failed, fill, follow, h, isPackage, may, number, operate, plot, quote, renew, REPORTS, submit, table, tell, tone, use } from "/static/core.js";
import { Board } from "/static/board.js";
import { faults } from "/static/faults.js";
import { signer } from "/static/sign.js";
import { snapshots } from "/static/snapshots.js";

const id = $("device").dataset.device;
const base = `devices/${quote(id)}`;
const board = new Board($("board"));
const wrong = faults(id);
const loadSnapshots = snapshots(id);
let device = null;

// -- what it is

function show(next) {
  device = { ...device, ...next }; // of one that was forgotten only that is told
  $("state").textContent = device.state;
  $("state").className = `state ${tone(device.state)}`;
  $("about").textContent = [device.board, device.engine, device.development && "takes unsigned apps"].filter(Boolean).join(" · ");
  showFacts();
  document.querySelector(".head [aria-label=Power]")?.toggleAttribute("hidden", device.state === "forgotten");
  const powered = ["connected", "paused", "booting", "disconnected", "unreachable"].includes(device.state) && device.pid !== null;
  if (may("operator")) {
    $("power").hidden = powered || device.engine === "serial";
    for (const name of ["pause", "reset", "off"]) $(name).hidden = !powered;
    $("pause").textContent = device.state === "paused" ? "Resume" : "Pause";
  }
  board.power(powered, device.board);
  renew($("apps"), [device.apps ?? []], () => "apps", apps);
  wrong.device(device);
  if (powered && !line && may("operator")) listen();
}

function apps(found) {
  if (!found.length) return h("p", { className: "muted" }, "No app runs here. ", h("a", { href: "/wizard" }, "Write one"), ".");
  return table("Apps", ["App", "State", "Module", "Memory", "Instructions of one call, at most", "In all", "Why", ""], found.map((app) => [
    [h("strong", {}, app.name), app.version ? h("span", { className: "muted small" }, ` ${app.version}`) : null],
    badge(app.state), bytes(app.size), bytes(app.memory), use(app), app.instructions === null ? "" : app.instructions.toLocaleString(), app.reason || "",
    may("operator") ? h("button", { type: "button", className: "small", "aria-label": `Stop ${app.name}`, onclick: () => stop(app.name) }, "Stop") : "",
  ]));
}

// -- facts

let beat = null; // the last heartbeat
let certificate = null;
function showFacts() {
  const now = Date.now() / 1000;
  const here = device.state === "connected";
  const labels = Object.entries(device.labels).map(([key, value]) => value ? `${key}=${value}` : key);
  const facts = [
    ["Last heard", device.last_seen ? `${ago(now - Math.max(device.last_seen, beat?.time ?? 0))} ago` : "–"],
    ["Up for", here && beat ? ago(beat.data.uptime / 1000 + now - beat.time) : "–"],
    ["Boots", `${device.boots}, the last one by ${device.boot_reason || "nobody"}${device.boot_detail ? `: ${device.boot_detail}` : ""}`],
    ["Connected after", device.connect_ms ? `${Math.round(device.connect_ms)} ms` : "–"],
    ["Firmware", device.firmware ? [device.firmware, " ", h("code", { className: "muted" }, device.build_id.slice(0, 12))] : "–"],
    ["Certificate", certificate ? [h("code", {}, certificate.serial.slice(0, 12)), certificate.revoked ? " revoked" : ` until ${day(certificate.expires)}`] : "–"],
    ["App memory", device.memory ? `${bytes(device.memory_free)} of ${bytes(device.memory)} free` : "–"],
    ["Frames lost", beat ? String(beat.data.frames_dropped) : "–"],
    ["Labels", labels.length ? h("span", { className: "chips" }, labels.map((label) => h("span", { className: "chip" }, label))) : "none"],
  ];
  fill($("facts"), facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
setInterval(() => { if (device) showFacts(); }, 1000);

const stop = (name) => api("DELETE", `${base}/apps/${quote(name)}`).catch(failed);

action($("power"), async () => {
  await operate("devices", { board: device.board, name: id, development: device.development }, (progress) => { $("about").textContent = progress.text; });
});
action($("pause"), () => api("POST", `${base}/${device.state === "paused" ? "resume" : "pause"}`).then(refresh));
action($("reset"), () => api("POST", `${base}/reset`));
action($("off"), () => api("DELETE", base).then(refresh));

const refresh = asker(async () => show(await api("GET", base)));

// -- sensors, as sliders in physical units

const NAMES = { temperature: "Temperature", humidity: "Humidity", pressure: "Pressure", gas: "Gas resistance", gas_resistance: "Gas resistance", "gas-resistance": "Gas resistance", pressed: "Pressed", position: "Position" };
const FAULTS = { none: "works", nack: "no answer", stuck: "holds the bus", "bad-checksum": "bad checksum", unplugged: "unplugged" };
const controls = new Map();

function showParts({ parts, quantities }) {
  board.show(parts, quantities);
  wrong.parts(Object.keys(parts));
  const shape = JSON.stringify([Object.keys(parts), quantities.map((quantity) => quantity.name)]);
  if ($("sensors").dataset.shape !== shape) build(parts, quantities, shape);
  for (const quantity of quantities) {
    const control = controls.get(quantity.name);
    if (!control) continue;
    control.set(quantity.value);
    control.push(quantity.value);
  }
  for (const [name, part] of Object.entries(parts)) {
    const select = document.querySelector(`[data-fault="${CSS.escape(name)}"]`);
    if (select && select !== document.activeElement) select.value = part.fault;
  }
}

const set = (name, value) => api("POST", `${base}/parts`, { set: [[name, String(value)]] }).catch(failed);

// Resistances span decades: their slider is logarithmic.
const scale = (quantity) => quantity.unit === "Ω" && quantity.low >= 0
  ? { to: (value) => Math.log10(Math.max(value, 1)), from: (at) => 10 ** at, low: Math.log10(Math.max(quantity.low, 1)), high: Math.log10(quantity.high), step: .01 }
  : { to: (value) => value, from: (at) => at, low: quantity.low, high: quantity.high, step: quantity.high - quantity.low > 200 ? 1 : .1 };

function build(parts, quantities, shape) {
  controls.clear();
  const curves = [];
  const sections = Object.entries(parts).filter(([name]) => quantities.some((quantity) => quantity.name.startsWith(`${name}.`))).map(([name, part]) => {
    const own = quantities.filter((quantity) => quantity.name.startsWith(`${name}.`));
    const faults = part.faults ?? ["none", "nack", "stuck", "unplugged", "bad-checksum"];
    const fault = h("select", { "data-fault": name, "aria-label": `Fault of ${name}`, disabled: !may("operator"), onchange: (event) => set(`${name}.fault`, event.target.value) },
      faults.map((each) => h("option", { value: each }, FAULTS[each] ?? each)));
    fault.value = part.fault;
    return h("section", { className: "sensor", "aria-label": name },
      h("div", { className: "row between" }, h("h3", {}, name, h("span", { className: "muted" }, ` ${part.kind === name ? "" : part.kind}`)), part.kind === "button" ? null : fault),
      own.map((quantity) => row(quantity, curves)));
  });
  fill($("sensors"), sections.length ? sections : h("p", { className: "muted" }, "This board has no simulated sensors."));
  if (window.uPlot) fill($("sensed"), curves);
  controls.forEach((control, name) => control.begin(past.quantities[name] ?? []));
  $("sensors").dataset.shape = shape;
}

function row(quantity, curves) {
  const key = quantity.name.split(".")[1];
  const words = NAMES[key] ?? key;
  const at = scale(quantity);
  const field = `q-${quantity.name}`;
  const slider = h("input", { type: "range", min: at.low, max: at.high, step: at.step, disabled: !may("operator"), "aria-label": `${quantity.name} in ${quantity.unit || "steps"}`, "data-quantity": quantity.name });
  const input = h("input", { id: field, type: "number", step: "any", min: quantity.low, max: quantity.high, disabled: !may("operator") });
  let waiting = null, sent = Promise.resolve();
  // One request on the way at a time, and the last position always arrives.
  const send = (value) => {
    waiting = value;
    sent = sent.then(() => { if (waiting === null) return null; const now = waiting; waiting = null; return set(quantity.name, now); });
  };
  slider.addEventListener("input", () => { const value = Number(number(at.from(Number(slider.value)), 5)); input.value = value; slider.setAttribute("aria-valuetext", `${value} ${quantity.unit}`); send(value); });
  input.addEventListener("change", () => { slider.value = at.to(Number(input.value)); send(Number(input.value)); });
  const curve = quantity.unit ? plot(`${quantity.name.split(".")[0]} ${words.toLowerCase()}`, quantity.unit, { stepped: true }) : null;
  if (curve) curves.push(curve.element);
  let latest = null;
  controls.set(quantity.name, {
    begin(course) { curve?.set(course.map(([at]) => at), course.map(([, value]) => value)); },
    push(value = latest) { latest = value; if (value !== null) curve?.push(Date.now() / 1000, value); },
    set(value) {
      if (document.activeElement === slider || document.activeElement === input) return;
      slider.value = at.to(value);
      slider.setAttribute("aria-valuetext", `${number(value)} ${quantity.unit}`);
      input.value = number(value, 6);
    },
  });
  return h("div", { className: "quantity" }, h("label", { htmlFor: field }, words), slider, h("div", { className: "value" }, input, h("span", {}, quantity.unit)));
}

// A value holds until it changes: its curve goes on.
setInterval(() => controls.forEach((control) => control.push()), 5000);

// -- plots of what it reports

let past = { quantities: {}, events: [] };
const reported = new Map();
const used = new Map(); // app: its last report

function report(name, unit, time, value, options) {
  if (!window.uPlot) return;
  if (!reported.has(name)) {
    if (reported.size >= 16) return;
    reported.set(name, plot(name, unit, options));
    $("reported").append(reported.get(name).element);
  }
  reported.get(name).push(time, value);
}

function note(event) {
  const { app, data, kind, time } = event;
  if (kind === "device.heartbeat") {
    beat = event;
    report("free app memory", "", time, data.memory_free, { format: (value) => bytes(Math.round(value)) });
  } else if (kind === "app.use") {
    const before = used.get(app);
    used.set(app, event);
    // Counted anew since it was loaded: no rate over that.
    if (before && data.instructions >= before.data.instructions && time > before.time) {
      report(`${app} instructions`, "/s", time, (data.instructions - before.data.instructions) / (time - before.time), { format: (value) => number(value, 3) });
    }
  } else if (kind === "app.event") {
    let values;
    try { values = JSON.parse(data.text ?? ""); } catch { return; }
    if (typeof values === "number") values = { "": values };
    for (const [key, value] of Object.entries(values ?? {})) {
      if (typeof value === "number") report([app, data.topic, key].filter(Boolean).join(" "), "", time, value);
    }
  }
}

// -- its events

function addEvent(event) {
  const said = event.kind === "lab.log" && !["warning", "error"].includes(event.data.level);
  if (REPORTS.includes(event.kind) || said || event.device !== id) return;
  const [kind, words] = tell(event);
  $("timeline").prepend(h("li", {}, h("time", {}, clock(event.time)), h("i", { className: `dot ${kind}` }), h("span", {}, words)));
  while ($("timeline").children.length > 200) $("timeline").lastChild.remove();
}

// -- its console

const out = $("console");
const codes = /\x1b\[[0-9;?]*[A-Za-z]|\r/g;
let line = null;
function listen() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  line = new WebSocket(`${scheme}://${location.host}/api/v1/${base}/console`);
  line.binaryType = "arraybuffer";
  const decoder = new TextDecoder();
  line.onopen = () => { out.textContent = ""; $("console-send").disabled = false; };
  line.onmessage = (message) => {
    const below = out.scrollHeight - out.scrollTop - out.clientHeight < 40;
    out.append(decoder.decode(message.data, { stream: true }).replace(codes, ""));
    while (out.childNodes.length > 2000) out.firstChild.remove();
    if (below) out.scrollTop = out.scrollHeight;
  };
  line.onclose = () => { line = null; $("console-send").disabled = true; }; // the next word of the device opens it again
}
submit($("console-form"), async () => {
  line.send(`${$("console-line").value}\r\n`);
  $("console-line").value = "";
});

// -- modules

const drop = $("drop");
const sign = signer($("key"), $("key-status"));
let sending = Promise.resolve();
/** Sends a file when those before it are through: what is said of it is not mixed up with theirs. */
const flash = (file) => { if (file) sending = sending.then(() => send(file)); };
async function send(file) {
  const status = $("drop-status"), bar = $("drop-progress");
  const packed = isPackage(file), name = appName(file);
  bar.hidden = false; bar.value = 0;
  status.className = ""; status.textContent = `Sending ${file.name} (${bytes(file.size)})…`;
  try {
    const content = new Uint8Array(await file.arrayBuffer());
    const body = packed ? content : await sign(name, content);
    const { apps: [app] } = await operate(`deployments?${packed ? "" : `name=${quote(name)}&`}to=${quote(id)}`, body,
      (progress) => { if (progress.total) bar.value = progress.sent / progress.total; });
    const runs = ["running", "trial"].includes(app.state);
    status.textContent = runs ? `${app.name} runs${app.state === "trial" ? ", on trial" : ""}.` : `${app.name}: ${app.reason || app.state}`;
    status.className = runs ? "notice ok" : "notice bad";
  } catch (error) {
    status.textContent = [error.message, error.hint].filter(Boolean).join(". ");
    status.className = "notice bad";
  } finally { bar.hidden = true; }
}
drop?.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop?.addEventListener("dragleave", () => drop.classList.remove("over"));
drop?.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); flash(event.dataTransfer.files[0]); });
$("module")?.addEventListener("change", (event) => { flash(event.target.files[0]); event.target.value = ""; });

// -- begin

// The one certificate whose name comes after all names before this device's.
const before = `${id.slice(0, -1)}${String.fromCharCode(id.charCodeAt(id.length - 1) - 1)}\uffff`;
let noted = null, added = 0; // the newest of the events that were before this page
async function load() {
  const first = noted === null;
  const [issued, history, logged] = await Promise.all([
    api("GET", `certificates?limit=1&after=${quote(before)}`),
    first ? api("GET", `${base}/history`) : null,
    first ? api("GET", `logs?device=${quote(id)}&limit=200`) : null,
    loadSnapshots(),
  ]);
  certificate = issued.certificates.find((each) => each.device === id) ?? null;
  if (first) {
    past = history;
    past.events.forEach(note);
    logged.lines.reverse().map(asEvent).forEach(addEvent);
    noted = past.events.at(-1)?.sequence ?? 0;
    added = logged.lines.at(-1)?.sequence ?? 0;
  }
  await refresh();
  if (device.state !== "off") showParts(await api("GET", `${base}/parts`).catch(() => ({ parts: {}, quantities: [] })));
}
follow({
  load,
  device: (next) => { if (next.id === id) show(next); },
  parts: showParts,
  event: (event) => {
    if (event.device !== id) return;
    if (event.sequence > noted) note(event);
    if (event.sequence > added) addEvent(event);
    if (event.kind.startsWith("snapshot.")) loadSnapshots().catch(failed);
  },
}, { watch: id });
