// Tells the gateway how long it has run, and does what the gateway says: "on" and "off" switch an LED.
import { answer, clock, ledController, publish, Rgb } from "lab/device";

export { cabi_realloc } from "lab/device"; // where the host puts a command

const green = new Rgb(0, 255, 0);
const off = new Rgb();

function bytes(text: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(text));
}

export function init(): u32 {
  return 5000;
}

export function poll(): void {
  publish.send("uptime", bytes((clock.now() / 1000).toString()));
}

let said = bytes("");

export function onCommand(input: usize, size: usize): usize {
  const word = String.UTF8.decodeUnsafe(input, size);
  if (word == "on" || word == "off") {
    ledController.set(0, word == "on" ? green : off);
    said = bytes(word);
  } else {
    said = bytes("say on or off");
  }
  return answer(said); // kept in a global: the host reads it after the call
}
