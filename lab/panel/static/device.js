// One board: its picture, its sensors, its apps, what it says.
import { $, action, api, asEvent, badge, bytes, clock, failed, fill, follow, h, may, number, operate, plot, quote, submit, table, tell, tone } from "/static/core.js";
import { Board } from "/static/board.js";
import { signer } from "/static/sign.js";

const id = $("device").dataset.device;
const base = `devices/${quote(id)}`;
const board = new Board($("board"));
let device = null;

// -- what it is

function show(next) {
  device = next;
  $("state").textContent = device.state;
  $("state").className = `state ${tone(device.state)}`;
  const facts = [device.board, device.engine, device.firmware && `firmware ${device.firmware}`, device.boots && `${device.boots} ${device.boots === 1 ? "boot" : "boots"}`, device.boot_reason && `last: ${device.boot_reason}`, device.connect_ms && `connected after ${Math.round(device.connect_ms)} ms`];
  $("about").textContent = facts.filter(Boolean).join(" · ");
  const powered = ["connected", "paused", "booting", "disconnected", "unreachable"].includes(device.state) && device.pid !== null;
  if (may("operator")) {
    $("power").hidden = powered || device.engine === "serial";
    for (const name of ["pause", "reset", "off"]) $(name).hidden = !powered;
    $("pause").textContent = device.state === "paused" ? "Resume" : "Pause";
  }
  board.power(powered, device.board);
  showApps(device.apps ?? []);
}

function showApps(apps) {
  if (!apps.length) {
    fill($("apps"), h("p", { className: "muted" }, "No app runs here. ", h("a", { href: "/wizard" }, "Write one"), "."));
    return;
  }
  fill($("apps"), table("Apps", ["App", "State", "Module", "Memory", "Why", ""], apps.map((app) => [
    [h("strong", {}, app.name), app.version ? h("span", { className: "muted small" }, ` ${app.version}`) : null],
    badge(app.state), bytes(app.size), bytes(app.memory), app.reason || "",
    may("operator") ? h("button", { type: "button", className: "small", "aria-label": `Stop ${app.name}`, onclick: () => stop(app.name) }, "Stop") : "",
  ])));
}

const stop = (name) => api("DELETE", `${base}/apps/${quote(name)}`).catch(failed);

action($("power"), async () => {
  await operate("devices", { board: device.board, name: id, development: device.development }, (progress) => { $("about").textContent = progress.text; });
});
action($("pause"), () => api("POST", `${base}/${device.state === "paused" ? "resume" : "pause"}`).then(refresh));
action($("reset"), () => api("POST", `${base}/reset`));
action($("off"), () => api("DELETE", base).then(refresh));

const refresh = async () => show(await api("GET", base));

// -- sensors, as sliders in physical units

const NAMES = { temperature: "Temperature", humidity: "Humidity", pressure: "Pressure", gas: "Gas resistance", gas_resistance: "Gas resistance", "gas-resistance": "Gas resistance", pressed: "Pressed", position: "Position" };
const FAULTS = { none: "works", nack: "no answer", stuck: "holds the bus", "bad-checksum": "bad checksum", unplugged: "unplugged" };
const controls = new Map();

function showParts({ parts, quantities }) {
  board.show(parts, quantities);
  const shape = JSON.stringify([Object.keys(parts), quantities.map((quantity) => quantity.name)]);
  if ($("sensors").dataset.shape !== shape) build(parts, quantities, shape);
  for (const quantity of quantities) {
    const control = controls.get(quantity.name);
    if (!control) continue;
    control.set(quantity.value);
    control.curve?.push(Date.now() / 1000, quantity.value);
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
    const fault = h("select", { "data-fault": name, "aria-label": `Fault of ${name}`, disabled: !may("operator"), onchange: (event) => set(`${name}.fault`, event.target.value).then(() => api("GET", `${base}/parts`)).then(showParts).catch(failed) },
      faults.map((each) => h("option", { value: each }, FAULTS[each] ?? each)));
    fault.value = part.fault;
    return h("section", { className: "sensor", "aria-label": name },
      h("div", { className: "row between" }, h("h3", {}, name, h("span", { className: "muted" }, ` ${part.kind === name ? "" : part.kind}`)), part.kind === "button" ? null : fault),
      own.map((quantity) => row(quantity, curves)));
  });
  fill($("sensors"), sections.length ? sections : h("p", { className: "muted" }, "This board has no simulated sensors."));
  if (window.uPlot) { fill($("plots"), curves, memory.element); memory.first(); }
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
  const curve = quantity.unit ? plot(`${quantity.name.split(".")[0]} ${words.toLowerCase()}`, quantity.unit) : null;
  if (curve) curves.push(curve.element);
  controls.set(quantity.name, {
    curve,
    set(value) {
      if (document.activeElement === slider || document.activeElement === input) return;
      slider.value = at.to(value);
      slider.setAttribute("aria-valuetext", `${number(value)} ${quantity.unit}`);
      input.value = number(value, 6);
    },
  });
  return h("div", { className: "quantity" }, h("label", { htmlFor: field }, words), slider, h("div", { className: "value" }, input, h("span", {}, quantity.unit)));
}

// -- plots of what it reports

const memory = plot("free app memory", "", (value) => bytes(Math.round(value)));
memory.first = () => { if (device.memory) memory.push(Date.now() / 1000, device.memory_free); };
const published = new Map();

function note(event) {
  if (event.kind === "device.heartbeat") memory.push(event.time, event.data.memory_free);
  if (event.kind !== "app.event" || !window.uPlot) return;
  let values;
  try { values = JSON.parse(event.data.text ?? ""); } catch { return; }
  if (typeof values === "number") values = { "": values };
  for (const [key, value] of Object.entries(values ?? {})) {
    if (typeof value !== "number") continue;
    const name = [event.app, event.data.topic, key].filter(Boolean).join(" ");
    if (!published.has(name)) {
      if (published.size >= 12) return;
      published.set(name, plot(name, ""));
      $("plots").append(published.get(name).element);
    }
    published.get(name).push(event.time, value);
  }
}

// -- its events

function addEvent(event) {
  const said = event.kind === "lab.log" && !["warning", "error"].includes(event.data.level);
  if (event.kind === "device.heartbeat" || said || event.device !== id) return;
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
  line.onopen = () => { out.textContent = ""; };
  line.onmessage = (message) => {
    const below = out.scrollHeight - out.scrollTop - out.clientHeight < 40;
    out.append(decoder.decode(message.data, { stream: true }).replace(codes, ""));
    while (out.childNodes.length > 2000) out.firstChild.remove();
    if (below) out.scrollTop = out.scrollHeight;
  };
  line.onclose = () => { line = null; };
}
submit($("console-form"), async () => {
  if (line?.readyState !== WebSocket.OPEN) throw new Error("the console is closed: the board is off");
  line.send(`${$("console-line").value}\r\n`);
  $("console-line").value = "";
});

// -- modules

const drop = $("drop");
const sign = signer($("key"), $("key-status"));
async function flash(file) {
  const status = $("drop-status"), bar = $("drop-progress");
  if (!file) return;
  const packed = file.name.endsWith(".lab"); // names its app itself, and is signed
  const name = file.name.replace(/\.(wasm|lab)$/i, "").replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 32) || "app";
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

try {
  await refresh();
  if (device.state !== "off") showParts(await api("GET", `${base}/parts`).catch(() => ({ parts: {}, quantities: [] })));
  const { lines } = await api("GET", `logs?device=${quote(id)}&limit=60`);
  lines.reverse().map(asEvent).forEach(addEvent);
} catch (error) { failed(error); }
if (may("operator") && device?.pid !== null) listen();
follow({
  device: (next) => { if (next.id === id) { const was = device?.state; show(next); if (may("operator") && next.state === "connected" && was !== "connected" && !line) listen(); } },
  parts: showParts,
  event: (event) => {
    document.dispatchEvent(new CustomEvent("lab-event", { detail: event }));
    if (event.device === id) { note(event); addEvent(event); }
  },
}, { watch: id });
