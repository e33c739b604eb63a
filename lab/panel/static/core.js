// What every page uses: elements without markup in strings, the API, the stream.

const SVG = "http://www.w3.org/2000/svg";
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
const WITHDRAWN = 4401; // lab/api/auth.py
const RANK = { viewer: 1, operator: 2, admin: 3 };

export const role = meta("role");
export const may = (needed) => (RANK[role] ?? 0) >= RANK[needed];
export const $ = (id) => document.getElementById(id);

/** Makes an element. Children that are strings become text, never markup. */
export function h(tag, attributes = {}, ...children) {
  const inSvg = tag.startsWith("svg:");
  const element = inSvg ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !inSvg && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
export const fill = (element, ...children) =>
  element.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));

export class Problem extends Error {
  constructor(body, status, cause) {
    super(body.detail ?? `the lab answered ${status}`, { cause });
    this.hint = body.hint ?? "";
    this.status = status;
  }
}

async function refuse(response) {
  if (response.status === 401) location.assign("/login");
  let body = {};
  try { body = await response.json(); } catch { /* no problem document: the status says it */ }
  throw new Problem(body, response.status);
}

function request(method, path, body, headers = {}) {
  const raw = body instanceof ArrayBuffer || body instanceof Uint8Array;
  const answer = fetch(path.startsWith("/") ? path : `/api/v1/${path}`, {
    method,
    headers: {
      ...(method === "GET" ? {} : { "X-CSRF-Token": meta("csrf") }),
      ...(body === undefined ? {} : { "Content-Type": raw ? "application/octet-stream" : "application/json" }),
      ...headers,
    },
    body: body === undefined || raw ? body : JSON.stringify(body),
    credentials: "same-origin",
  });
  return answer.catch((error) => { throw new Problem({ detail: "the lab does not answer" }, 0, error); });
}

/** Sends one request to the API and returns its answer. Throws `Problem`. */
export async function api(method, path, body, headers) {
  const response = await request(method, path, body, headers);
  if (!response.ok) await refuse(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Returns a file that the API keeps. */
export async function content(path) {
  const response = await request("GET", path);
  if (!response.ok) await refuse(response);
  return new Uint8Array(await response.arrayBuffer());
}

/** Sends long work; `step` gets each piece of progress. Returns the result. */
export async function operate(path, body, step) {
  const response = await request("POST", path, body, {
    Accept: "application/x-ndjson",
    "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()),
  });
  if (!response.ok) await refuse(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Problem({ detail: "the lab ended before the work was done" }, 0);
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const item of lines.map((line) => JSON.parse(line))) {
      if (item.result) return item.result;
      if (item.error) throw new Problem(item.error, item.error.status);
      step(item.progress);
    }
  }
}

export const quote = encodeURIComponent;

/**
 * Returns a function that does `work`, never twice at a time: asked for meanwhile, it is done once more. So what is
 * drawn last was asked for last, however long each answer takes.
 */
export function asker(work) {
  let running = null, again = false;
  const run = async () => {
    try {
      do { again = false; await work(); } while (again);
    } finally { running = null; }
  };
  return () => {
    again = running !== null;
    return running ??= run();
  };
}

/**
 * Follows the lab. `on` has a function for each kind of frame: event, device, parts, sample; and `load`, which asks for
 * what there is whenever the stream begins. What happens meanwhile comes after it: nothing is missed between the two, and
 * nothing that is newer is drawn over.
 */
export function follow(on, options = {}) {
  let last = null;
  let pause = 250;
  let away = false;
  let turn = Promise.resolve();
  const take = async (frames) => {
    for (const frame of frames) {
      if ("hello" in frame) {
        last ??= frame.hello;
        pause = 250;
        away = false;
        await Promise.resolve(on.load?.()).catch(failed);
        document.dispatchEvent(new CustomEvent("live", { detail: !away }));
      } else if (frame.event) {
        last = frame.event.sequence;
        document.dispatchEvent(new CustomEvent("lab-event", { detail: frame.event }));
      }
      for (const [kind, value] of Object.entries(frame)) on[kind]?.(value);
    }
  };
  const begin = () => {
    const query = new URLSearchParams(options);
    if (last !== null) query.set("since", last);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/v1/stream?${query}`);
    socket.onmessage = (message) => { turn = turn.then(() => take(JSON.parse(message.data))).catch(failed); };
    socket.onclose = ({ code }) => {
      document.dispatchEvent(new CustomEvent("live", { detail: false }));
      if (code === WITHDRAWN) { location.assign("/login"); return; }
      // A browser does not say why a WebSocket was refused: asked for itself, a session that is over leads to the login.
      if (away) api("GET", "session").catch(() => {});
      away = true;
      setTimeout(() => turn.then(begin), pause); // from after what has come already
      pause = Math.min(pause * 2, 8000);
    };
  };
  begin();
}

export function toast(text) {
  const note = h("p", { className: "toast" }, text);
  // What is outside of an open dialog is behind it.
  (document.querySelector("dialog[open]") ?? document.body).append($("toasts"));
  $("toasts").append(note);
  setTimeout(() => note.remove(), 7000);
}

export const failed = (error) => toast(error.hint ? `${error.message}: ${error.hint}` : error.message);

/** Runs an action of a button: once at a time, its error shown. */
export function action(button, work) {
  button?.addEventListener("click", async () => {
    button.disabled = true;
    try { await work(); } catch (error) { failed(error); } finally { button.disabled = false; }
  });
}

export function submit(form, work) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = [...form.querySelectorAll("button[type=submit]")];
    buttons.forEach((button) => { button.disabled = true; });
    try { await work(); } catch (error) { failed(error); } finally { buttons.forEach((button) => { button.disabled = false; }); }
  });
}

const TONE = {
  connected: "ok", running: "ok", good: "ok", done: "ok", aborted: "warn", paused: "warn", booting: "warn", waiting: "warn", receiving: "warn", trial: "warn",
  unreachable: "bad", crashed: "bad", failed: "bad", disconnected: "warn", revoked: "bad", error: "bad", warning: "warn",
};
export const tone = (state) => TONE[state] ?? "";
export const badge = (state) => h("span", { className: `state ${tone(state)}` }, state);

export const bytes = (count) => count < 1024 ? `${count} B` : count < 1 << 20 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / (1 << 20)).toFixed(1)} MiB`;
export const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false });
export const day = (time) => new Date(time * 1000).toLocaleDateString();
/** A log line of the API, as the event it was. */
export const asEvent = (line) => ({ ...line, data: line.kind.endsWith(".log") ? { ...line.fields, text: line.text, level: line.level, component: line.component } : line.fields });
/** Whether a file is a package, which names its app itself and is signed; else it is a bare module, named for its file. */
export const isPackage = (file) => /\.lab$/i.test(file.name);
export const appName = (file) => file.name.replace(/\.(wasm|lab)$/i, "").replace(/[^A-Za-z0-9._-]/g, "-").slice(0, 32) || "app";

/** A digest by its first digits; anything else as it is. */
export const short = (value) => /^[0-9a-f]{64}$/.test(value) ? `${value.slice(0, 12)}…` : value;
export const number = (value, digits = 4) => Number(value.toPrecision(digits)).toString();

/** A table without the columns that are empty. It scrolls by itself where it is too wide, also by keyboard; on a phone each row is a list. */
export function table(label, heads, rows) {
  const shown = heads.map((_, at) => at).filter((at) => !rows.length || rows.some((cells) => cells[at] !== "" && cells[at] !== null));
  return h("div", { className: "table-wrap", role: "region", "aria-label": label, tabIndex: 0 }, h("table", {},
    h("thead", {}, h("tr", {}, shown.map((at) => heads[at] ? h("th", { scope: "col" }, heads[at]) : h("td", {})))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, shown.map((at) => h("td", { "data-head": heads[at] }, cells[at])))))));
}

const drawn = new WeakMap(); // element: what it shows, as JSON
const CONTROLS = "a, button, input, select, summary, [tabindex]";
const controls = (element) => [...(element.matches(CONTROLS) ? [element] : []), ...element.querySelectorAll(CONTROLS)];

/**
 * Has an element show `items`, each under its key, made by `make` where it is new or not as it was. What has not changed
 * stays: no click is lost between press and release. The focus stays at its place.
 */
export function renew(place, items, key, make) {
  const before = new Map([...place.children].map((element) => [element.dataset.key, element]));
  let at = place.firstElementChild;
  for (const item of items) {
    const name = key(item), state = JSON.stringify(item);
    let element = before.get(name);
    before.delete(name);
    if (!element || drawn.get(element) !== state) {
      const made = make(item);
      made.dataset.key = name;
      drawn.set(made, state);
      if (element === at) at = made;
      const focus = element ? controls(element).indexOf(document.activeElement) : -1;
      element?.replaceWith(made);
      controls(made)[focus]?.focus();
      element = made;
    }
    if (element === at) at = at.nextElementSibling;
    else place.insertBefore(element, at);
  }
  before.forEach((element) => element.remove());
}

/** A share of something, as a bar with words. */
export const meter = (words, figures, share) => h("div", { className: "meter" },
  h("span", {}, h("span", {}, words), h("span", {}, figures)),
  h("svg:svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, h("svg:rect", { width: Math.min(Math.max(share, 0), 1) * 100, height: 6, class: share > .8 ? "high" : "" })));

/** What one call of an app took at most of the WASM instructions that it may take, and what all took. */
export const use = (app) => app.peak === null ? h("span", { className: "muted" }, "not called yet")
  : meter(`${app.peak.toLocaleString()} of ${app.budget.toLocaleString()}`, percent(app.peak / app.budget), app.peak / app.budget);
const percent = (share) => `${share > 0 && share < .001 ? "< 0.1" : (share * 100).toFixed(1)} %`;
export const ago = (seconds) => seconds < 100 ? `${Math.max(0, Math.round(seconds))} s` : seconds < 6000 ? `${Math.round(seconds / 60)} min` : seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;

/** A fault with its parameters, as `lab fault` takes them. */
export const faultWords = ({ fault, parameters }) => [fault, ...Object.entries(parameters).map(([name, value]) => `${name}=${value}`)].join(" ");

/** Events that come all the time and are shown as figures, not as something that happened. */
export const REPORTS = ["device.heartbeat", "app.use"];

/** Says how an event is to be taken, the event in a few words, and whether these are all it has. */
export function tell(event) {
  const { kind, app, data } = event;
  const state = data.state ?? "";
  switch (kind) {
    case "device.connected": return ["ok", data.resumed ? "connected again" : `connected (${data.boot_reason ?? "?"})`];
    case "device.disconnected": return ["warn", `disconnected: ${data.reason}`];
    case "device.unreachable": return ["bad", `silent for ${data.silent} s`];
    case "device.exited": return [data.asked ? "" : "bad", data.asked ? "powered off" : `ended by itself: ${data.reason}`];
    case "device.revoked": return ["bad", "its certificate was revoked"];
    case "app.state": return [tone(state), `${app} ${state}${data.reason ? `: ${data.reason}` : ""}`];
    case "app.log": return [tone(data.level), `${app}: ${data.text}`];
    case "device.log": return [tone(data.level), data.text];
    case "app.use": return ["", `${app} took ${data.instructions} instructions, ${data.peak} of ${data.budget} in one call`];
    case "app.event": return ["", `${app} published ${data.topic}${data.text ? `: ${data.text}` : ""}`];
    case "app.not-restored": return ["bad", `${app} did not come back: ${data.reason}`];
    case "fault.set": return ["warn", `fault ${faultWords(data)}${data.duration ? ` for ${data.duration} s` : ""}`];
    case "fault.cleared": return ["ok", `fault ${faultWords(data)} cleared: ${data.why}`];
    case "snapshot.saved": return ["", `saved as snapshot ${data.snapshot}`];
    case "snapshot.loaded": return ["warn", `is as snapshot ${data.snapshot} has it`];
    case "alert.raised": return ["bad", `alert: ${data.text}`];
    case "alert.cleared": return ["ok", `alert cleared: ${data.text}`];
    case "gateway.refused": return ["bad", `refused: ${data.reason}`];
    case "lab.log": return [tone(data.level), `${data.component}: ${data.text}`];
    default: {
      const rest = Object.entries(data).filter(([key, value]) => key !== "request" && value !== null && value !== "" && typeof value !== "object");
      return ["", `${kind.replace(".", " ")} ${rest.map(([key, value]) => `${key}=${short(value)}`).join(" ")}`.trim(), true];
    }
  }
}

export const MINUTES = 15; // lab/readings.py
const HEIGHT = 170;
const decimals = (step) => Math.max(0, -Math.floor(Math.log10(step) + 1e-9));

/**
 * A curve in a box: uPlot, if it was fetched.
 * `format` says a value, and the axis where it is given; `whole`: it counts things; `stepped`: a value holds until the next;
 * `span`: how many seconds are shown.
 */
export function plot(title, unit, { format, whole = false, stepped = false, span = MINUTES * 60 } = {}) {
  const value = h("span", {}, "–");
  const box = h("div", { className: "canvas" });
  const element = h("div", { className: "plot" }, h("h3", {}, title, value), box);
  if (!window.uPlot) return { element, push() {}, set() {} };
  // light-dark() is resolved by an element that uses it.
  const probe = h("span", {});
  const colour = (name) => { probe.style.color = `var(${name})`; element.append(probe); const found = getComputedStyle(probe).color; probe.remove(); return found; };
  const data = [[], []];
  let chart = null;
  const ticks = (_chart, splits, _axis, _space, step) => splits.map((split) => format ? format(split) : split.toFixed(decimals(step)));
  const range = (_chart, low, high) => {
    if (whole) return [0, high + 1];
    const room = low === high ? Math.max(Math.abs(low) * .02, 1) : (high - low) * .1;
    return [low >= 0 ? Math.max(low - room, 0) : low - room, high + room];
  };
  const draw = () => {
    if (!box.isConnected) return;
    const now = data[1].at(-1);
    value.textContent = now === undefined || now === null ? "–" : `${format ? format(now) : number(now)} ${unit}`;
    if (data[0].length < 2) return; // one point has no time axis
    if (!chart) {
      const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "12px sans-serif" };
      chart = new window.uPlot({
        width: Math.max(box.clientWidth, 200), height: HEIGHT, legend: { show: false }, cursor: { y: false }, padding: [8, 24, 0, 0],
        axes: [{ ...axis, space: 76, size: 34, values: (_chart, splits) => splits.map(clock) }, { ...axis, size: 66, incrs: whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] : undefined, values: ticks }],
        series: [{}, { stroke: () => colour("--accent"), width: 2, points: { show: false }, spanGaps: true, paths: stepped ? window.uPlot.paths.stepped({ align: 1 }) : undefined }],
        scales: { y: { range } },
      }, data, box);
      chart.root.setAttribute("role", "img");
      new ResizeObserver(() => chart.setSize({ width: Math.max(box.clientWidth, 200), height: HEIGHT })).observe(box);
      document.addEventListener("theme", () => chart.redraw(false, true));
    } else {
      chart.setData(data);
    }
    chart.root.setAttribute("aria-label", `${title}, now ${value.textContent}`);
    Object.assign(chart.root.dataset, { since: data[0][0], until: data[0].at(-1) });
  };
  return {
    element,
    push(time, reading) {
      data[0].push(time); data[1].push(reading);
      while (data[0][0] < time - span) { data[0].shift(); data[1].shift(); }
      draw();
    },
    set(times, readings) { data[0] = [...times]; data[1] = [...readings]; draw(); },
  };
}
