// The gateway, certificates, tokens, and what administrators did.
import { $, action, api, asker, badge, clock, day, failed, fill, h, may, quote, submit, table, toast } from "/static/core.js";

const grid = (label, heads, rows, empty) => rows.length ? table(label, heads, rows) : h("p", { className: "muted" }, empty);

async function showGateway() {
  const gateway = await api("GET", "gateway");
  const facts = [["Address", `${gateway.host}:${gateway.port}`], ["Sessions", String(gateway.sessions)], ["Pairing", gateway.pairing > 0 ? `open for ${Math.round(gateway.pairing)} s` : "closed"], ["Heartbeat", `${gateway.heartbeat} s`]];
  fill($("gateway"), facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  const field = $("heartbeat");
  if (field && document.activeElement !== field) { field.value = gateway.heartbeat; field.disabled = false; }
}
submit($("gateway-form"), async () => { await api("POST", "gateway", { heartbeat: Number($("heartbeat").value) }); toast("Saved: connected devices were told."); await showGateway(); });
action($("gateway-pair"), async () => { await api("POST", "pairing", { seconds: 60 }); await showGateway(); });
action($("gateway-restart"), async () => { await api("POST", "gateway/restart"); toast("The gateway has restarted; devices reconnect by themselves."); await showGateway(); });

const showCertificates = asker(async () => {
  const { certificates } = await api("GET", "certificates");
  fill($("certificates"), grid("Certificates", ["Device", "Serial", "Expires", "State", ""], certificates.map((each) => [
    each.device, h("code", {}, each.serial.slice(0, 12)), day(each.expires), badge(each.revoked ? "revoked" : "good"),
    !may("admin") ? "" : each.revoked
      ? h("button", { type: "button", className: "small", "aria-label": `Issue anew the certificate of ${each.device}`, onclick: () => api("POST", `certificates/${quote(each.device)}`).then(showCertificates).catch(failed) }, "Issue anew")
      : h("button", { type: "button", className: "small danger", "aria-label": `Revoke the certificate of ${each.device}`, onclick: () => { if (confirm(`Cut ${each.device} off?`)) api("DELETE", `certificates/${quote(each.device)}`).then(showCertificates).catch(failed); } }, "Revoke"),
  ]), "No device has one yet."));
});

const showTokens = asker(async () => {
  if (!may("admin")) return;
  const { tokens } = await api("GET", "tokens");
  fill($("tokens"), grid("Tokens", ["Name", "Role", "Made", ""], tokens.map((each) => [each.name, each.role, day(each.created),
    h("button", { type: "button", className: "small danger", "aria-label": `Revoke ${each.name}`, onclick: () => api("DELETE", `tokens/${quote(each.name)}`).then(showTokens).catch(failed) }, "Revoke")]),
  "None: only who can read the lab's folder gets in."));
});
submit($("token-form"), async () => {
  const made = await api("POST", "tokens", { name: $("token-name").value, role: $("token-role").value });
  fill($("token-made"), h("p", { className: "notice" }, "Copy it now, it is not shown again: ", h("code", {}, made.token)));
  $("token-form").reset();
  await showTokens();
});

let rows = [];
async function showAudit(before = null) {
  if (!may("admin")) return;
  const found = await api("GET", `audit?limit=40${before === null ? "" : `&before=${before}`}`);
  rows = before === null ? found.rows : [...rows, ...found.rows];
  $("audit-card").hidden = false;
  // What was begun and is over has a row of its own for that.
  const over = new Set(rows.map((row) => row.begun));
  fill($("audit"), grid("Audit", ["Time", "Who", "What", "On", "Result"], rows.filter((row) => !over.has(row.id)).map((row) => [
    `${day(row.time)} ${clock(row.time)}`, row.who, row.action.replaceAll("_", " "), row.target, row.reason ? `${row.result}: ${row.reason}` : row.result,
  ]), "Nothing yet."));
  $("audit-older").hidden = found.next === null;
  $("audit-older").dataset.before = found.next;
}
action($("audit-older"), () => showAudit($("audit-older").dataset.before));

Promise.all([showGateway(), showCertificates(), showTokens(), showAudit()]).catch(failed);
