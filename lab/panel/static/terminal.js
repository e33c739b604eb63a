// The verbs of `lab` that whoever looks may run.
import { $, api, failed, fill, h, submit } from "/static/core.js";

const line = $("line"), output = $("output");
const typed = [];
let at = 0;

line.addEventListener("keydown", (event) => {
  const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!move || !typed.length) return;
  event.preventDefault();
  at = Math.min(Math.max(at + move, 0), typed.length);
  line.value = typed[at] ?? "";
});

submit($("run"), async () => {
  const words = line.value.trim();
  typed.push(words);
  at = typed.length;
  line.value = "";
  output.append(h("div", { className: "said" }, `$ lab ${words.replace(/^lab\s+/, "")}`));
  try {
    const done = await api("POST", "terminal", { line: words });
    output.append(h("div", { className: done.exit_code ? "bad" : "" }, done.output || (done.exit_code ? `exit code ${done.exit_code}` : "done")));
  } catch (error) {
    output.append(h("div", { className: "bad" }, [error.message, error.hint].filter(Boolean).join("\n")));
  }
  output.scrollTop = output.scrollHeight;
  line.focus();
});

api("GET", "terminal").then(({ verbs }) => fill($("verbs"), verbs.map((verb) => h("button", { type: "button", className: "chip mono", onclick: () => { line.value = `${verb} `; line.focus(); } }, verb))), failed);
