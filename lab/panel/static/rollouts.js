// Rollouts, with the progress of every device, and two versions side by side.
import { $, action, api, appName, asker, badge, bytes, clock, content, failed, fill, follow, h, isPackage, may, number, quote, renew, submit, table } from "/static/core.js";
import { signer } from "/static/sign.js";

const TONES = { confirmed: "ok", transferring: "warn", trial: "warn", "rolled-back": "bad", failed: "bad" };
const OVER = ["done", "failed", "aborted"];
const touched = (state) => !["pending", "aborted"].includes(state); // whether a rollout has changed a device of that state
const rollouts = new Map();
const cards = h("div", { className: "rollouts" });
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
  action(button, async () => { await api("POST", `rollouts/${id}/${what}`); await refresh(id); });
  return button;
}

function back(id) {
  const button = h("button", { type: "button", className: "small", "aria-label": `Roll back rollout ${id}` }, "Roll back");
  action(button, () => askBack(id));
  return button;
}

function card(rollout) {
  const { id, state } = rollout;
  return h("section", { className: "card rollout", "aria-label": `Rollout ${id}`, "data-rollout": id },
    h("div", { className: "head" },
      h("div", {}, h("h2", {}, `#${id} · ${rollout.app} `, badge(state)),
        h("p", { className: "muted small" }, [`${version(rollout.package)}${rollout.other ? ` against ${version(rollout.other)}` : ""}`, rollout.created && `begun ${clock(rollout.created)}`, rollout.created_by && `by ${rollout.created_by}`, rollout.rollback_of && `takes back #${rollout.rollback_of}`].filter(Boolean).join(" · "))),
      may("operator") ? h("div", { className: "row" },
        state === "running" ? act(id, "pause", "Pause") : null,
        state === "paused" ? act(id, "resume", "Resume") : null,
        ["running", "paused"].includes(state) ? act(id, "abort", "Abort", "danger") : null,
        OVER.includes(state) && Object.keys(rollout.counts).some(touched) ? back(id) : null) : null),
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
  renew(cards, all.map((rollout) => [rollout, version(rollout.package), rollout.other && version(rollout.other)]), ([{ id }]) => String(id), ([rollout]) => card(rollout));
  if (all.length) { if (!cards.isConnected) fill($("rollouts"), cards); } else fill($("rollouts"), h("div", { className: "card empty" },
    h("h2", {}, "No rollout yet"),
    h("p", { className: "muted" }, "A rollout brings a version to many boards: first to a canary, then batch by batch, and it pauses by itself when too many fail."),
    h("p", { className: "muted small" }, "From a shell: ", h("code", {}, "lab rollout start APP --canary 1"))));
  document.querySelectorAll("[data-rollout] details").forEach((each) => { const was = closed.get(each.closest("[data-rollout]").dataset.rollout); if (was !== undefined) each.open = was; });
  $("rollouts").setAttribute("aria-busy", "false");
}

function take(rollout) { rollouts.set(rollout.id, rollout); draw(); }

const askers = new Map();
/** Asks for a rollout, not once for each of its devices that moved meanwhile. */
function refresh(id) {
  if (!askers.has(id)) {
    askers.set(id, asker(async () => {
      await new Promise((done) => { setTimeout(done, 150); });
      const rollout = await api("GET", `rollouts/${id}`);
      if ([rollout.package, rollout.other].some((each) => each && !packages.has(each))) await loadPackages();
      take(rollout);
    }));
  }
  return askers.get(id)();
}

const loadPackages = asker(async () => { packages = new Map((await api("GET", "packages")).packages.map((each) => [each.id, each])); });

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
  await refresh(begun.id);
});

// -- taking one back

const backDialog = $("back-dialog");
const signAgain = signer($("b-key"), $("b-key-status"));
let leaving = null; // the rollout that is taken back

const changed = (rollout) => rollout.devices.filter((each) => touched(each.state));

/** Asks to which version the devices of a rollout go back, and for the key of a version that was signed. */
async function askBack(id) {
  const [rollout] = await Promise.all([api("GET", `rollouts/${id}`), loadPackages()]);
  if (backDialog.open) return; // another was asked for meanwhile
  leaving = rollout;
  const devices = changed(rollout);
  const before = new Set(devices.map((each) => each.previous));
  const [last] = before;
  const known = before.size === 1 && packages.has(last);
  const ran = [...before].some((each) => each !== null) ? "different versions" : "no version the lab has kept";
  const others = [...packages.values()].filter((each) => each.name === rollout.app && !(known && each.id === last));
  const option = (each) => h("option", { value: each.id }, `${version(each.id)} · ${each.signed ? `number ${each.sequence}` : "unsigned"}`);
  $("back-title").textContent = `Roll back rollout #${rollout.id}`;
  $("back-about").textContent = `${devices.length === 1 ? `${devices[0].device} leaves` : `${devices.length} devices leave`} ${[rollout.package, rollout.other].filter(Boolean).map(version).join(" and ")}. Before that, ${devices.length === 1 ? "it" : "they"} ran ${known ? `${version(last)}.` : `${ran} of ${rollout.app}: choose one.`}`;
  fill($("b-version"), known ? option(packages.get(last)) : h("option", { value: "" }, "choose a version"), others.map(option));
  asksForKey();
  backDialog.showModal();
}
/** Shows that a version has to be signed anew. */
function asksForKey() {
  $("b-signing").hidden = !packages.get($("b-version").value)?.signed;
  $("b-key").required = !$("b-signing").hidden;
}
$("b-version")?.addEventListener("change", asksForKey);
$("back-cancel")?.addEventListener("click", () => backDialog.close());
submit($("back-form"), async () => {
  const rollout = leaving, old = packages.get($("b-version").value), devices = changed(rollout).map((each) => each.device);
  const kept = await content(`packages/${old.id}`);
  const newest = Math.max(...[...packages.values()].filter((each) => each.name === old.name).map((each) => each.sequence ?? 0));
  const sent = old.signed ? await api("POST", "packages", await signAgain.again(kept, newest)) : old;
  const begun = await api("POST", "rollouts", {
    package: sent.id, devices, batch: rollout.batch, rollback_of: rollout.id,
    max_failures: devices.length, // it is the way out: it stops for nobody
  }, { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) });
  backDialog.close();
  await refresh(begun.id);
});

// -- begin, now that every button works

async function load() {
  await loadPackages();
  const found = (await api("GET", "rollouts")).rollouts;
  for (const rollout of found) rollouts.set(rollout.id, { ...rollouts.get(rollout.id), ...rollout });
  draw();
  await Promise.all(found.slice(0, 10).map(({ id }) => refresh(id)));
}
follow({
  load,
  event: (event) => { if (event.kind.startsWith("rollout.")) refresh(event.data.rollout).catch(failed); },
}, { devices: false });
