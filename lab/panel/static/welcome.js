// The first run: the gateway's settings, then the first boards.
import { $, api, failed, fill, h, operate, submit } from "/static/core.js";

try {
  const [{ boards }, gateway] = await Promise.all([api("GET", "boards"), api("GET", "gateway")]);
  $("w-heartbeat").value = gateway.heartbeat;
  const emulated = boards.filter((board) => board.engine === "qemu" || board.engine === "native");
  fill($("w-boards"), emulated.map((board) => h("label", { className: "choice" },
    h("input", { type: "radio", name: "board", value: board.name, checked: board.name === "mps2-an385" }),
    h("span", {}, h("strong", {}, board.name), h("span", { className: "muted small" }, board.title)))));
  document.querySelectorAll("fieldset").forEach((each) => { each.disabled = false; }); // nothing is overwritten that was typed
} catch (error) { failed(error); }

submit($("welcome"), async () => {
  await api("POST", "gateway", { heartbeat: Number($("w-heartbeat").value) });
  const board = document.querySelector("[name=board]:checked").value;
  await operate("devices", { board, count: Number($("w-count").value), development: $("w-development").checked }, (progress) => { $("w-progress").textContent = progress.text; });
  location.assign("/");
});
$("begin").disabled = false; // from here on it does something
