// The frame of every page: menu, theme, whether the lab is there, how many alerts stand.
import { $, api, action, asker, failed, follow, may, toast } from "/static/core.js";

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const theme = $("theme");
const label = () => { theme.textContent = dark() ? "Light theme" : "Dark theme"; };
const changed = () => { label(); document.dispatchEvent(new Event("theme")); };
label();
system.addEventListener("change", changed);
theme.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  changed();
});

$("menu").addEventListener("click", () => {
  const open = $("nav").classList.toggle("open");
  $("menu").setAttribute("aria-expanded", String(open));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("nav").classList.contains("open")) { $("menu").click(); $("menu").focus(); }
});

action($("logout"), async () => { await api("POST", "/logout"); location.assign("/login"); });

for (const needed of ["operator", "admin"]) {
  if (!may(needed)) document.querySelectorAll(`.needs-${needed}`).forEach((element) => element.remove());
}

document.addEventListener("live", (event) => {
  $("live").className = `live ${event.detail ? "on" : "off"}`;
  $("live").lastElementChild.textContent = event.detail ? "live" : "no connection, trying again";
  $("away").hidden = event.detail;
  if (event.detail) countAlerts().catch(failed);
});

const countAlerts = asker(async () => {
  const { alerts } = await api("GET", "alerts");
  const count = $("alert-count");
  count.hidden = !alerts.length;
  count.textContent = alerts.length;
  count.setAttribute("aria-label", `${alerts.length} alerts`);
});
document.addEventListener("lab-event", ({ detail }) => {
  if (!detail.kind.startsWith("alert.")) return;
  countAlerts().catch(failed);
  if (detail.kind === "alert.raised") toast(detail.data.text);
});
// `follow` passes events on; pages that do not follow the lab themselves do it here.
if (!document.querySelector("script[data-follows]")) {
  follow({}, { devices: false });
}
