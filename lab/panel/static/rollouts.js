// Rollouts, with the progress of every device, and two versions side by side.
import { $, action, api, appName, badge, bytes, clock, failed, fill, follow, h, isPackage, may, number, quote, submit, table } from "/static/core.js";
import { signer } from "/static/sign.js";

const TONES = { confirmed: "ok", transferring: "warn", trial: "warn", "rolled-back": "bad", failed: "bad" };
const rollouts = new Map();
let packages = new Map();

function bar(counts, total) {
  const shares = [["confirmed", "ok"], ["transferring", "warn"], ["trial", "warn"], ["rolled-back", "bad"], ["failed", "bad"]];
  const words = Object.entries(counts).map(([state, count]) => `${count} ${state}`).join(", ");
  const row = h("div", { className: "bar-row", role: "img", "aria-label": words },
    shares.map(([, tone]) => h("i", { className: tone })));
  shares.forEach(([state], index) => { row.children[index].style.width = `${((counts[state] ?? 0) / (total || 1)) * 100}%`; });
  return [row, h("p", { className: "muted small" }, words)];
}

const version = (id) => {
  const found = packages.get(id);
  return found ? `${found.name} ${found.version || found.sequence || ""}`.trim() : id.slice(0, 12);
};

function arm(name, figures) {
  const events = Object.entries(figures.events ?? {}).map(([kind, count]) => `${count} ${kind}`).join(", ");
  const facts = [
    ["Devices", figures.devices],
    ["Confirmed", figures.confirmed],
    ["Failed", figures.failed],
    ["Success", figures.success === null ? "–" : `${Math.round(figures.success * 100)} %`],
    ["Until confirmed", figures.seconds === null ? "–" : `${number(figures.seconds, 3)} s`],
    ["Memory", figures.memory === null ? "–" : bytes(Math.round(figures.memory))],
    ...(events ? [["Its events", events]] : []),
  ];
  return h("div", { className: "arm" }, h("h3", {}, `${name.toUpperCase()} · ${version(figures.package)}`),
    h("dl", { className: "facts" }, facts.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, String(value))])));
}

function act(id, what, words, className = "") {
  const button = h("button", { type: "button", className: `small ${className}`, "aria-label": `${words} rollout ${id}` }, words);
  action(button, () => api("POST", `rollouts/${id}/${what}`).then(take));
  return button;
}

function card(rollout) {
  const { id, state } = rollout;
  return h("section", { className: "card rollout", "aria-label": `Rollout ${id}`, "data-rollout": id },
    h("div", { className: "head" },
      h("div", {}, h("h2", {}, `#${id} · ${rollout.app} `, badge(state)),
        h("p", { className: "muted small" }, [`${version(rollout.package)}${rollout.other ? ` against ${version(rollout.other)}` : ""}`, rollout.created && `begun ${clock(rollout.created)}`, rollout.created_by && `by ${rollout.created_by}`].filter(Boolean).join(" · "))),
      may("operator") ? h("div", { className: "row" },
        state === "running" ? act(id, "pause", "Pause") : null,
        state === "paused" ? act(id, "resume", "Resume") : null,
        ["running", "paused"].includes(state) ? act(id, "abort", "Abort", "danger") : null) : null),
    rollout.reason ? h("p", { className: `notice ${["paused", "failed"].includes(state) ? "bad" : ""}` }, rollout.reason) : null,
    h("div", {}, bar(rollout.counts, rollout.total)),
    rollout.arms?.b ? h("div", { className: "arms" }, Object.entries(rollout.arms).map(([name, figures]) => arm(name, figures))) : null,
    rollout.devices ? h("details", { open: rollout.total <= 12 }, h("summary", {}, `${rollout.total} ${rollout.total === 1 ? "device" : "devices"}`),
      table(`Devices of rollout ${id}`, ["Device", "Arm", "State", "Progress", "Why"], rollout.devices.map((each) => [
        h("a", { href: `/devices/${quote(each.device)}` }, each.device), rollout.other ? each.arm.toUpperCase() : "",
        h("span", { className: `state ${TONES[each.state] ?? ""}` }, each.state),
        each.percent === null ? "" : h("progress", { max: 100, value: each.percent, "aria-label": `Transfer to ${each.device}` }),
        each.reason ?? "",
      ]))) : null);
}

function draw() {
  const all = [...rollouts.values()].sort((a, b) => b.id - a.id);
  const closed = new Map([...document.querySelectorAll("[data-rollout] details")].map((each) => [each.closest("[data-rollout]").dataset.rollout, each.open]));
  fill($("rollouts"), all.length ? h("div", { className: "rollouts" }, all.map(card)) : h("div", { className: "card empty" },
    h("h2", {}, "No rollout yet"),
    h("p", { className: "muted" }, "A rollout brings a version to many boards: first to a canary, then batch by batch, and it pauses by itself when too many fail."),
    h("p", { className: "muted small" }, "From a shell: ", h("code", {}, "lab rollout start APP --canary 1"))));
  document.querySelectorAll("[data-rollout] details").forEach((each) => { const was = closed.get(each.closest("[data-rollout]").dataset.rollout); if (was !== undefined) each.open = was; });
  $("rollouts").setAttribute("aria-busy", "false");
}

function take(rollout) { rollouts.set(rollout.id, rollout); draw(); }

const asked = new Set();
/** Asks for a rollout once, however many of its devices moved meanwhile. */
async function refresh(id) {
  if (asked.has(id)) return;
  asked.add(id);
  await new Promise((done) => { setTimeout(done, 150); });
  asked.delete(id);
  take(await api("GET", `rollouts/${id}`));
}

async function loadPackages() { packages = new Map((await api("GET", "packages")).packages.map((each) => [each.id, each])); }

// -- beginning one

const dialog = $("start-dialog");
/** Shows what the chosen file needs; without one, a package has to be chosen. */
function asksToSign() {
  const [file] = $("r-file").files;
  $("r-signing").hidden = !file || isPackage(file); // a package was signed where it was made
  $("r-package").required = packages.size > 0 && !file;
}
action($("start"), async () => {
  $("r-file").value = ""; // the key stays: more is signed with it
  await loadPackages();
  const options = () => [...packages.values()].map((each) => h("option", { value: each.id }, `${version(each.id)} · ${each.signed ? `number ${each.sequence}, by ${each.publisher}` : "unsigned"}`));
  fill($("r-package"), packages.size ? options() : h("option", { value: "" }, "none kept yet: choose a file"));
  fill($("r-other"), h("option", { value: "" }, "nothing"), options());
  $("r-arms").hidden = true;
  asksToSign();
  dialog.showModal();
});
const sign = signer($("r-key"), $("r-key-status"));
$("r-file")?.addEventListener("change", asksToSign);
$("r-other")?.addEventListener("change", (event) => { $("r-arms").hidden = !event.target.value; });
$("start-cancel")?.addEventListener("click", () => dialog.close());
submit($("start-form"), async () => {
  const [file] = $("r-file").files;
  let chosen = $("r-package").value;
  if (file) {
    const content = new Uint8Array(await file.arrayBuffer());
    const name = appName(file);
    chosen = isPackage(file) ? (await api("POST", "packages", content)).id
      : (await api("POST", `packages?name=${quote(name)}`, await sign(name, content, $("r-version").value.trim()))).id;
  }
  if (!chosen) throw new Error("choose a package, or a file");
  const value = (id) => Number($(id).value);
  const begun = await api("POST", "rollouts", {
    package: chosen, other: $("r-other").value || null, selector: $("r-selector").value.trim(),
    batch: value("r-batch"), canary: value("r-canary"), max_failures: value("r-failures"), split: value("r-split"),
  }, { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) });
  dialog.close();
  await loadPackages();
  await refresh(begun.id);
});

// -- begin, now that every button works

async function load() {
  await loadPackages();
  const found = (await api("GET", "rollouts")).rollouts;
  for (const rollout of found) rollouts.set(rollout.id, rollout);
  draw();
  await Promise.all(found.slice(0, 10).map(({ id }) => api("GET", `rollouts/${id}`).then(take)));
}
try { await load(); } catch (error) { failed(error); $("rollouts").setAttribute("aria-busy", "false"); }
follow({
  again: load,
  event: (event) => {
    document.dispatchEvent(new CustomEvent("lab-event", { detail: event }));
    if (event.kind.startsWith("rollout.")) loadPackages().then(() => refresh(event.data.rollout)).catch(failed);
  },
}, { devices: false });
