// The apps of the fleet: which devices have each, in which version and state, and what it takes there.
import { $, action, api, asker, badge, bytes, content, failed, fill, follow, h, may, operate, quote, renew, table, tone, use } from "/static/core.js";

let packages = [];
let devices = new Map();
const cards = h("div", { className: "rollouts" });

/** What an app is now: what its device said last counts while the device is there. */
const now = (app) => devices.get(app.device) === "connected" ? app.state : devices.get(app.device) ?? "unknown";

const version = (app) => app.version || (app.sequence ? `number ${app.sequence}` : "unsigned");
const kept = (name, app) => packages.find((each) => each.name === name && each.digest === app.digest && each.sequence === app.sequence);

function button(words, name, app, work) {
  const made = h("button", { type: "button", className: "small", "aria-label": `${words} ${name} on ${app.device}` }, words);
  action(made, work);
  return made;
}

function buttons(name, app) {
  if (!may("operator") || devices.get(app.device) !== "connected") return "";
  const path = `devices/${quote(app.device)}/apps/${quote(name)}`;
  const start = async () => operate(`deployments?to=${quote(app.device)}&name=${quote(name)}`, await content(`packages/${kept(name, app).id}`), () => {});
  const runs = ["running", "trial"].includes(app.state);
  return h("div", { className: "row" },
    runs ? button("Stop", name, app, () => api("DELETE", path)) : null,
    runs && kept(name, app) ? button("Restart", name, app, async () => { await api("DELETE", path); await start(); }) : null,
    !runs && kept(name, app) ? button("Start", name, app, start) : null,
    runs ? null : button("Remove", name, app, () => api("DELETE", `${path}?remove=true`)));
}

function card({ name, devices: found }) {
  const states = new Map();
  for (const app of found) states.set(now(app), (states.get(now(app)) ?? 0) + 1);
  return h("section", { className: "card", "aria-label": `App ${name}`, "data-app": name },
    h("div", { className: "head tight" }, h("h2", {}, name),
      h("div", { className: "chips" }, [...states].map(([state, count]) => h("span", { className: `state ${tone(state)}` }, `${count} ${state}`)))),
    table(`Devices that have ${name}`, ["Device", "Version", "State", "Memory", "Instructions of one call, at most", "Why", ""], found.map((app) => [
      h("a", { href: `/devices/${quote(app.device)}` }, app.device), version(app), badge(now(app)),
      app.memory ? bytes(app.memory) : "–", devices.get(app.device) === "connected" ? use(app) : "–", app.reason || "", buttons(name, app)])));
}

const load = asker(async () => {
  const [{ apps }, found, known] = await Promise.all([api("GET", "apps"), api("GET", "packages"), api("GET", "devices")]);
  packages = found.packages;
  devices = new Map(known.devices.map(({ id, state }) => [id, state]));
  const around = ({ name, devices: found }) => found.map((app) => [devices.get(app.device), kept(name, app)?.id]);
  renew(cards, apps.map((app) => [app, around(app)]), ([app]) => app.name, ([app]) => card(app));
  if (!apps.length) {
    fill($("apps"), h("div", { className: "card empty" },
      h("h2", {}, "No apps yet"), h("p", { className: "muted" }, "Write one from a template, compile it here, and run it on a board."),
      may("operator") ? h("a", { className: "button", href: "/wizard" }, "New app") : null));
  } else if (!cards.isConnected) fill($("apps"), cards);
  $("apps").setAttribute("aria-busy", "false");
});

let asked = false;
/** Asks again once, however much happened meanwhile. */
async function soon() {
  if (asked) return;
  asked = true;
  await new Promise((done) => { setTimeout(done, 250); });
  asked = false;
  await load();
}

follow({
  load,
  event: (event) => {
    if (["app.state", "app.use"].includes(event.kind) || (event.kind.startsWith("device.") && event.kind !== "device.heartbeat")) soon().catch(failed);
  },
}, { devices: false });
