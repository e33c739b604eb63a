"""The page at `/` of a node: a card for each node of the cluster, with buttons for its buzzer.

It runs no script: the page reloads itself and the buttons are forms. Whatever comes from a node is data, and
escaped.
"""

import json
from html import escape
from urllib.parse import quote

from wit_world import exports
from wit_world.imports import settings

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --line: #8884; --soft: #888; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; } header { display: flex; align-items: baseline;
gap: 1rem; border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; } h1 { font-size: 1.4rem; margin: 0 0
.5rem; } h2 { font-size: 1.1rem; margin: 0; } h3 { font-size: .85rem; margin: 1rem 0 .2rem; color:
var(--soft); text-transform: uppercase; letter-spacing: .04em; } main { display: grid; grid-template-columns:
repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem; } article { border: 1px solid var(--line); border-radius:
.6rem; padding: 1rem 1.2rem; } article.offline { opacity: .55; } .title { display: flex; gap: .6rem;
align-items: center; } .badge { font-size: .75rem; border-radius: 1rem; padding: .05rem .6rem; border: 1px
solid var(--line); } .badge.hub { background: #2563eb; color: #fff; } .badge.spoke { background: #64748b;
color: #fff; } dl { display: grid; grid-template-columns: 1fr auto; margin: 0; gap: .1rem 1rem; } dt { color:
var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; } .normal { color:
#15a34a; } .warning { color: #d97706; } .alarm { color: #dc2626; font-weight: 600; } form { display: inline; }
button { font: inherit; padding: .2rem .7rem; border-radius: .4rem; border: 1px solid var(--line); background:
transparent; cursor: pointer; } button:hover, button:focus-visible { background: #8883; } .buttons { display:
flex; gap: .5rem; margin-top: 1rem; } .soft { color: var(--soft); }
"""

TITLES = {"dht22": "DHT22", "bme680": "BME680", "node": "Node", "network": "Network"}
NAMES = {
    "cpu-temperature": "CPU temperature",
    "cpu-load": "CPU load",
    "iaq": "Air quality (IAQ)",
    "iaq-samples": "Air quality (IAQ)",
    "gas-resistance": "Gas resistance",
}
BUZZES = (("once", "Beep"), ("triple", "Beep ×3"), ("long", "Long, 5 s"))
STATES = ("normal", "warning", "alarm")
ROLES = ("hub", "spoke", "agent")


def number(value: object, unit: str) -> str:
    """Return a value as people read it."""
    if not isinstance(value, int | float):
        return "–"
    if unit == "Ω" and value >= 1000:
        return f"{value / 1000:.1f} kΩ"
    if unit == "s":
        minutes = int(value) // 60
        return (
            f"{minutes // 1440} d {minutes // 60 % 24} h {minutes % 60} min" if minutes else f"{value:.0f} s"
        )
    return f"{value:g} {unit}".strip()


def row(name: str, value: str, state: object) -> str:
    """Return one line of a card; `name` and `value` are plain text."""
    colour = state if state in STATES else ""
    return f'<dt>{escape(name)}</dt><dd class="{colour}">{escape(value)}</dd>'


def rows(sensor: str, quantities: dict) -> str:
    """Return the lines of one sensor."""
    lines = []
    memory = [quantities.get(name, {}).get("value") for name in ("memory-used", "memory-total")]
    for name, reading in sorted(quantities.items()):
        value, note, state = reading.get("value"), str(reading.get("note", "")), reading.get("state")
        shown = number(value, str(reading.get("unit", "")))
        if name in ("memory-used", "memory-total"):
            continue
        if sensor == "network":
            shown = f"● {shown}" if note == "online" else "● offline"
            state = "normal" if note == "online" else "alarm"
        elif note:
            shown = f"{shown} · {note}"
        lines.append(
            row(
                NAMES.get(name, name.replace("-", " ").capitalize() if sensor != "network" else name),
                shown,
                state,
            )
        )
    if all(isinstance(value, int | float) for value in memory) and memory:
        used, total = memory
        lines.append(row("Memory", f"{used / 2**20:.0f} / {total / 2**20:.0f} MiB", ""))
    return "".join(lines)


def card(name: str, node: dict) -> str:
    """Return a node's card."""
    sensors = node.get("sensors", {})
    role = str(node.get("role", ""))
    presence, colour = ("online", "normal") if node.get("online") else ("offline", "alarm")
    parts = [
        f'<article class="{presence}"><div class="title"><h2>{escape(name)}</h2>',
        f'<span class="badge {role if role in ROLES else ""}">{escape(role)}</span>',
        f'<span class="{colour}">{presence}</span></div>',
    ]
    order = {"node": 0, "dht22": 1, "bme680": 2, "network": 9}
    for sensor in sorted(sensors, key=lambda each: (order.get(each, 5), each)):
        parts.append(f"<h3>{escape(TITLES.get(sensor, sensor))}</h3><dl>{rows(sensor, sensors[sensor])}</dl>")
    if not sensors:
        parts.append('<p class="soft">No readings yet.</p>')
    path = f"/api/nodes/{quote(name, safe='')}/buzzer"
    buttons = "".join(
        f'<form method="post" action="{escape(path)}"><input type="hidden" name="pattern" value="{pattern}">'
        f'<button aria-label="{escape(label)} on {escape(name)}">{escape(label)}</button></form>'
        for pattern, label in BUZZES
    )
    return "".join(parts) + f'<div class="buttons">{buttons}</div></article>'


class Page(exports.Page):
    """Implements `lab:plugin/page`."""

    def render(self, state: str) -> str:
        """Return the page for the cluster's state, the JSON of `/api/readings`."""
        cluster = json.loads(state)
        title = settings.get("title") or "Sensors"
        cards = "".join(card(name, node) for name, node in sorted(cluster["nodes"].items()))
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="5">'
            f"<style>{STYLE}</style></head><body><header><h1>{escape(title)}</h1>"
            f'<span class="soft">{len(cluster["nodes"])} nodes</span></header>'
            f"<main>{cards}</main></body></html>"
        )
