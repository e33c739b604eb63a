// A board as it was at one moment, to be had again. docs/snapshots.md
import { $, action, api, asker, bytes, clock, day, h, may, operate, quote, renew, submit } from "/static/core.js";

/** Has the page's card save, load and remove a device's snapshots. Returns what asks for them again. */
export function snapshots(id) {
  const base = `devices/${quote(id)}/snapshots`;
  const status = $("snapshot-status"), name = $("snapshot-name");

  /** Says what is done, then what came of it: also why it was refused. */
  async function tell(doing, work, done) {
    status.className = "muted";
    status.textContent = doing;
    try {
      await work();
      status.textContent = done;
    } catch (error) {
      status.className = "notice bad";
      status.textContent = [error.message, error.hint].filter(Boolean).join(". ");
    }
    await load();
  }

  function row(snapshot) {
    const button = (words, className, work) => {
      const made = h("button", { type: "button", className: `small ${className}`, "aria-label": `${words} ${snapshot.name}` }, words);
      action(made, work);
      return made;
    };
    const path = `${base}/${quote(snapshot.name)}`;
    const facts = [snapshot.saved && `${day(snapshot.saved)} ${clock(snapshot.saved)}`, bytes(snapshot.size)].filter(Boolean).join(", ");
    return h("li", {}, h("div", {}, h("strong", {}, snapshot.name), h("p", { className: "muted small" }, facts), snapshot.damage && h("p", { className: "notice bad small" }, snapshot.damage)),
      may("operator") ? h("div", { className: "row" },
        snapshot.damage ? null : button("Load", "", async () => {
          if (!confirm(`Have ${id} be as ${snapshot.name} has it? What it is now is lost.`)) return;
          await tell(`Loading ${snapshot.name}…`, () => operate(`${path}/load`, {}, () => {}), `${id} is as ${snapshot.name} has it.`);
        }),
        button("Remove", "danger", async () => {
          if (confirm(`Erase the snapshot ${snapshot.name}?`)) await tell("", () => api("DELETE", path), "");
        })) : null);
  }

  const load = asker(async () => {
    const found = (await api("GET", base)).snapshots;
    renew($("snapshots"), found, (snapshot) => snapshot.name, row);
    $("no-snapshots").hidden = found.length > 0;
  });

  submit($("snapshot-form"), async () => {
    const called = name.value.trim();
    await tell(`Saving ${called}…`, async () => { await api("POST", base, { name: called }); name.value = ""; }, "");
  });
  return load;
}
