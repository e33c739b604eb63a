// Blinks an LED.
import { ledController, Rgb } from "lab/device";

const LED = 0;
const white = new Rgb(255, 255, 255);
const off = new Rgb();

let lit = false;

export function init(): u32 {
  return 500; // ms: lit for half a second, dark for half a second
}

export function poll(): void {
  lit = !lit;
  ledController.set(LED, lit ? white : off);
}
