// What is wrong now, and how the last hour went.
import { $, api, asker, bytes, clock, failed, fill, follow, h, may, number, plot, quote, submit, table, badge } from "/static/core.js";

const graphs = [
  ["Connected devices", "", "connected", (value) => String(Math.round(value))],
  ["Events", "/s", "events_per_second", (value) => number(value, 2)],
  ["CPU of the lab", "%", "cpu_percent", (value) => value.toFixed(0)],
  ["Memory of the lab", "", "memory_bytes", (value) => bytes(Math.round(value))],
].map(([title, unit, key, format]) => ({ key, curve: plot(title, unit, { format, whole: key === "connected", span: 3600 }) }));

const showAlerts = asker(async () => {
  const { alerts } = await api("GET", "alerts");
  fill($("alerts"), alerts.length ? alerts.map((alert) => h("div", { className: "alert", "data-alert": alert.id },
    h("span", { className: `state ${alert.severity === "critical" ? "bad" : "warn"}` }, alert.severity),
    h("div", {}, alert.device ? h("a", { href: `/devices/${quote(alert.device)}` }, alert.text) : alert.text, h("p", { className: "muted small" }, `since ${clock(alert.since)}`)),
    may("operator") ? h("button", { type: "button", className: "small", "aria-label": `Dismiss: ${alert.text}`, onclick: () => api("DELETE", `alerts/${alert.id.split("/").map(quote).join("/")}`).then(showAlerts).catch(failed) }, "Dismiss") : null,
  )) : h("div", { className: "empty slim" }, h("p", {}, "✓ Nothing wants attention."), h("p", { className: "muted small" }, "Devices that go offline, apps and plugins that fail and rollouts that stop show up here.")));
});

const showHealth = asker(async () => {
  const { parts } = await api("GET", "health/parts");
  fill($("health"), parts.map((part) => h("div", { className: "card tile" }, h("strong", {}, part.name), h("span", {}, h("span", { className: `state ${part.healthy ? "ok" : "bad"}` }, part.healthy ? "works" : "failed")), h("p", { className: "muted small" }, part.detail))));
});

const showPlugins = asker(async () => {
  const [{ nodes }, { plugins }] = await Promise.all([api("GET", "nodes"), api("GET", "plugins")]);
  if (!nodes.length) {
    fill($("plugins"), h("p", { className: "muted below" }, "No gateway node is watched. Add one that runs on this machine (", h("code", {}, "lab node"), ") by its port."));
    return;
  }
  fill($("plugins"), table("Plugins", ["Node", "Plugin", "State", "What it says"], nodes.flatMap((node) => node.error
    ? [[node.name, "–", badge("error"), node.error]]
    : plugins.filter((plugin) => plugin.node === node.name).map((plugin) => [node.name, plugin.name, badge(plugin.state), plugin.error || ""]))));
});

if (may("admin")) {
  const name = h("input", { placeholder: "name", required: true, pattern: "[A-Za-z0-9._\\-]{1,32}", "aria-label": "Name of the node" });
  const port = h("input", { type: "number", placeholder: "port", min: 1, max: 65535, required: true, "aria-label": "Port of the node" });
  const form = h("form", { className: "row" }, name, port, h("button", { type: "submit" }, "Watch"));
  submit(form, async () => { await api("PUT", `nodes/${quote(name.value)}`, { port: Number(port.value) }); form.reset(); await showPlugins(); });
  $("plugins").after(form);
}

const showWebhooks = asker(async () => {
  if (!may("admin")) return;
  const { webhooks } = await api("GET", "webhooks");
  fill($("webhooks"), webhooks.length ? webhooks.map((hook) => h("div", { className: "alert" }, h("div", { className: "mono" }, hook.url, hook.signed ? h("span", { className: "muted" }, " signed") : null),
    h("button", { type: "button", className: "small", "aria-label": `Remove ${hook.url}`, onclick: () => api("DELETE", `webhooks?url=${quote(hook.url)}`).then(showWebhooks).catch(failed) }, "Remove"))) : h("p", { className: "muted" }, "None yet."));
});
submit($("webhook-form"), async () => {
  await api("POST", "webhooks", { url: $("webhook-url").value, secret: $("webhook-secret").value });
  $("webhook-form").reset();
  await showWebhooks();
});

async function load() {
  const [{ samples }] = await Promise.all([api("GET", "history"), showAlerts(), showHealth(), showPlugins(), showWebhooks()]);
  for (const { key, curve } of graphs) curve.set(samples.map((sample) => sample.time), samples.map((sample) => sample[key]));
}
if (window.uPlot) fill($("graphs"), graphs.map(({ curve }) => h("div", { className: "card" }, curve.element)));
follow({
  load,
  sample: (sample) => { graphs.forEach(({ key, curve }) => curve.push(sample.time, sample[key])); showHealth().catch(failed); },
  event: (event) => {
    if (event.kind.startsWith("alert.")) { showAlerts().catch(failed); if (event.data.alert?.startsWith("plugin:") || event.data.alert?.startsWith("node:")) showPlugins().catch(failed); }
  },
}, { samples: true, devices: false });
