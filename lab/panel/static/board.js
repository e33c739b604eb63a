// The picture of a board: LED strip in true colours, buzzer, fan, relay, sensors.
import { fill, h, number } from "/static/core.js";

const s = (tag, attributes, ...children) => h(`svg:${tag}`, attributes, ...children);

export class Board {
  constructor(place) {
    this.glow = s("filter", { id: "glow", x: "-150%", y: "-150%", width: "400%", height: "400%" }, s("feGaussianBlur", { stdDeviation: 7 }));
    this.parts = s("g", {});
    this.name = s("text", { x: 250, y: 172, fill: "#cfd6e6", "font-size": 13, "text-anchor": "middle" });
    this.lamp = s("circle", { cx: 44, cy: 44, r: 5, fill: "#3a4150" });
    const pins = (x) => Array.from({ length: 12 }, (_, index) => s("rect", { x, y: 132 + index * 6.400, width: 8, height: 3, fill: "#a8b0c0" }));
    this.svg = s("svg", { viewBox: "0 0 500 330", role: "img" },
      this.title = s("title", {}, "A board"),
      s("defs", {}, this.glow,
        s("linearGradient", { id: "pcb", x1: 0, y1: 0, x2: 1, y2: 1 }, s("stop", { offset: 0, "stop-color": "#14403a" }), s("stop", { offset: 1, "stop-color": "#0c2b2b" }))),
      s("rect", { x: 6, y: 6, width: 488, height: 318, rx: 18, fill: "url(#pcb)", stroke: "#2b6a5f", "stroke-width": 2 }),
      s("g", { stroke: "#1f5a50", "stroke-width": 2, fill: "none", "stroke-linecap": "round" },
        s("path", { d: "M190 150H120V96M190 165H96V230M190 180H140V240M310 150H400V110M310 165H420V220M310 180H370V250M220 210V270M250 210V285M280 210V270M230 130V84M270 130V84" })),
      [[26, 26], [474, 26], [26, 304], [474, 304]].map(([cx, cy]) => s("circle", { cx, cy, r: 8, fill: "#0a1d1d", stroke: "#c9a24a", "stroke-width": 3 })),
      s("rect", { x: 190, y: 126, width: 120, height: 86, rx: 6, fill: "#171b24", stroke: "#333b4b" }),
      pins(182), pins(310),
      s("circle", { cx: 202, cy: 138, r: 3, fill: "#4b5568" }),
      this.name,
      s("text", { x: 250, y: 190, fill: "#8f9ab0", "font-size": 10, "text-anchor": "middle" }, "WebAssembly"),
      this.lamp, s("text", { x: 56, y: 48, fill: "#a8c7bf", "font-size": 10 }, "PWR"),
      this.parts);
    fill(place, this.svg);
  }

  power(on, name) {
    this.name.textContent = name;
    this.lamp.setAttribute("fill", on ? "#4ade80" : "#3a4150");
    if (!on) { fill(this.parts); this.shape = ""; }
  }

  show(parts, quantities) {
    const shape = Object.entries(parts).map(([name, part]) => `${name}:${part.kind}:${part.leds?.length ?? ""}`).join();
    if (shape !== this.shape) this.build(parts, shape);
    const said = [];
    for (const [name, part] of Object.entries(parts)) {
      const drawn = this.drawn.get(name);
      if (part.leds) {
        part.leds.forEach((colour, index) => this.light(drawn[index], colour));
        const on = part.leds.flatMap((colour, index) => colour.some(Boolean) ? [`LED ${index} rgb(${colour.join(", ")})`] : []);
        said.push(on.length ? on.join(", ") : "all LEDs off");
      } else if (part.kind === "buzzer") {
        drawn.group.setAttribute("class", part.on ? "sounding" : "");
        drawn.text.textContent = `${part.total} ${part.total === 1 ? "beep" : "beeps"}`;
        said.push(`buzzer ${part.on ? "on" : "off"}, ${part.total} beeps`);
      } else if (part.kind === "relay") {
        drawn.group.setAttribute("class", part.on ? "fan-on" : "");
        drawn.lamp.setAttribute("fill", part.on ? "#facc15" : "#2a303b");
        drawn.text.textContent = `${name} ${part.on ? "on" : "off"}`;
      } else if (drawn?.text) {
        const own = quantities.filter((quantity) => quantity.name.startsWith(`${name}.`));
        drawn.text.textContent = part.fault !== "none" ? part.fault : own.slice(0, 2).map((quantity) => `${number(quantity.value, 3)} ${quantity.unit}`).join("  ");
        drawn.text.setAttribute("fill", part.fault !== "none" ? "#fca5a5" : "#d8efe8");
      }
    }
    this.title.textContent = `The board: ${said.join("; ")}`;
  }

  light(led, [red, green, blue]) {
    const on = red || green || blue;
    const colour = `rgb(${red}, ${green}, ${blue})`;
    led.dot.setAttribute("fill", on ? colour : "#2a303b");
    led.halo.setAttribute("fill", on ? colour : "none");
    led.dot.dataset.colour = on ? colour : "off";
  }

  build(parts, shape) {
    this.shape = shape;
    this.drawn = new Map();
    fill(this.parts);
    const sensors = Object.entries(parts).filter(([, part]) => !part.leds && !["buzzer", "relay", "nor_flash", "button"].includes(part.kind));
    const outputs = Object.entries(parts).filter(([, part]) => ["relay"].includes(part.kind));
    for (const [name, part] of Object.entries(parts)) {
      if (part.leds) this.buildStrip(name, part.leds.length);
      if (part.kind === "buzzer") this.buildBuzzer(name);
    }
    sensors.slice(0, 4).forEach(([name], index) => this.buildSensor(name, index));
    outputs.slice(0, 3).forEach(([name], index) => this.buildOutput(name, index));
  }

  buildStrip(name, count) {
    const shown = Math.min(count, 32);
    const step = Math.min(38, 430 / shown);
    const radius = Math.min(11, step / 2 - 2);
    const start = 250 - (step * (shown - 1)) / 2;
    this.parts.append(s("rect", { x: start - step / 2 - 4, y: 270, width: step * shown + 8, height: 40, rx: 8, fill: "#0d1017", stroke: "#343c4c" }));
    this.drawn.set(name, Array.from({ length: count }, (_, index) => {
      const hidden = index >= shown;
      const at = { cx: start + index * step, cy: 290 };
      const halo = s("circle", { ...at, r: radius * 1.700, fill: "none", filter: "url(#glow)", opacity: .8 });
      const dot = s("circle", { ...at, r: radius, fill: "#2a303b", stroke: "#4a5364", class: "led", "data-led": `${index}`, "data-colour": "off" });
      if (!hidden) this.parts.append(halo, dot, s("text", { x: at.cx, y: 264, fill: "#8fb5ab", "font-size": 9, "text-anchor": "middle" }, String(index)));
      return { halo, dot };
    }));
  }

  buildBuzzer(name) {
    const text = s("text", { x: 420, y: 98, fill: "#d8efe8", "font-size": 11, "text-anchor": "middle" });
    const group = s("g", {},
      s("circle", { cx: 420, cy: 56, r: 24, fill: "#12151c", stroke: "#3b4352", "stroke-width": 2 }),
      s("circle", { cx: 420, cy: 56, r: 5, fill: "#2c333f" }),
      s("g", { class: "sound", fill: "none", stroke: "#facc15", "stroke-width": 3, "stroke-linecap": "round" },
        s("path", { d: "M451 42q9 14 0 28M461 35q14 21 0 42M389 42q-9 14 0 28M379 35q-14 21 0 42" })), text);
    this.parts.append(group);
    this.drawn.set(name, { group, text });
  }

  buildSensor(name, index) {
    const x = 82, y = 88 + index * 62;
    const text = s("text", { x, y: y + 32, fill: "#d8efe8", "font-size": 11, "text-anchor": "middle" });
    this.parts.append(s("rect", { x: x - 58, y: y - 6, width: 116, height: 48, rx: 6, fill: "#1f4a45", stroke: "#3f7d72" }),
      s("text", { x, y: y + 13, fill: "#a8c7bf", "font-size": 11, "text-anchor": "middle" }, name), text);
    this.drawn.set(name, { text });
  }

  buildOutput(name, index) {
    const y = 130 + index * 44;
    const text = s("text", { x: 438, y: y + 20, fill: "#d8efe8", "font-size": 11, "text-anchor": "middle" });
    const lamp = s("circle", { cx: 382, cy: y + 16, r: 5, fill: "#2a303b" });
    const group = s("g", {}, s("rect", { x: 368, y, width: 112, height: 34, rx: 5, fill: "#12304a", stroke: "#2f5f86" }), lamp, text);
    this.parts.append(group);
    this.drawn.set(name, { group, lamp, text });
  }
}
