// Watches the room's temperature and air: LED 1 and LED 2 show them in colours, the buzzer says when they get
// bad.
//
// A colour that was entered is left only HYSTERESIS beyond the limit, so that a value at a limit does not
// flicker. The air's score goes from 0 (clean) to 500: a quarter of it is how far humidity is from 40 %,
// three quarters how far the gas resistance has fallen below that of clean air, which is learnt in the first
// readings.
import { bme680, buzzerController, dht22, ledController, log, Rgb } from "lab/device";

const ROOM_LED = 1;
const AIR_LED = 2;

// °C
const HOT: f32 = 30;
const WARM: f32 = 25;
const COLD: f32 = 15;
const HYSTERESIS: f32 = 2;

const CALIBRATION: u32 = 10; // readings
const BEST_HUMIDITY: f32 = 40;
const AIR_ALARM: f32 = 200;
const AIR_ALARM_ENDS: f32 = 180;

const red = new Rgb(255, 0, 0);
const orange = new Rgb(255, 120, 0);
const yellow = new Rgb(255, 255, 0);
const lime = new Rgb(128, 255, 0);
const green = new Rgb(0, 255, 0);
const blue = new Rgb(0, 0, 255);
const purple = new Rgb(128, 0, 128);
const off = new Rgb();

let hot = false;
let warm = false;
let cold = false;
const room = new dht22.Reading();

let calibrated: u32 = 0; // readings so far
let baseline: f32 = 0; // Ω, of clean air
let badAir = false;
const air = new bme680.Reading();

function watchRoom(): void {
  if (dht22.read(room) < 0) {
    ledController.set(ROOM_LED, off);
    return;
  }
  const t = room.temperature;
  const wasHot = hot;
  hot = t > HOT || (hot && t >= HOT - HYSTERESIS);
  warm = t > WARM || (warm && t >= WARM - HYSTERESIS);
  cold = t < COLD || (cold && t <= COLD + HYSTERESIS);
  ledController.set(ROOM_LED, hot ? red : warm ? orange : cold ? blue : green);
  if (hot && !wasHot) {
    buzzerController.beep(3, 200, 200);
    log.write(log.Level.Warning, "the room is too hot");
  }
}

function score(gas: f32, humidity: f32): f32 {
  const offBest = humidity > BEST_HUMIDITY
    ? (humidity - BEST_HUMIDITY) / (100 - BEST_HUMIDITY)
    : (BEST_HUMIDITY - humidity) / BEST_HUMIDITY;
  return 125 * offBest + 375 * (1 - gas / baseline);
}

function airColour(score: f32): Rgb {
  if (badAir) return red;
  if (score > 150) return orange;
  if (score >= 100) return yellow;
  return score > 50 ? lime : green;
}

function watchAir(): void {
  if (bme680.read(air) < 0) {
    ledController.set(AIR_LED, off);
    return;
  }
  const gas = air.gasResistance;
  if (gas <= 0) return; // the heater is not stable yet
  if (calibrated < CALIBRATION) {
    calibrated++;
    baseline += (gas - baseline) / <f32>calibrated; // their mean
    ledController.set(AIR_LED, purple);
    return;
  }
  if (gas > baseline) baseline = gas; // cleaner than what it took for clean
  const s = score(gas, air.humidity);
  const wasBad = badAir;
  badAir = s > AIR_ALARM || (badAir && s > AIR_ALARM_ENDS);
  ledController.set(AIR_LED, airColour(s));
  if (badAir && !wasBad) {
    buzzerController.onFor(1000);
    log.write(log.Level.Warning, "the air is bad");
  }
}

export function init(): u32 {
  return 1000;
}

export function poll(): void {
  watchAir();
  watchRoom(); // last: a new sound replaces the one before, and heat is the worse news
}
