// Reads the DHT22 and writes what it says to the log.
import { dht22, log } from "lab/device";

const reading = new dht22.Reading();

/** A number with one digit behind the point. */
function tenths(value: f32): string {
  const all = <i32>(value * 10 + (value < 0 ? -0.5 : 0.5));
  const sign = all < 0 ? "-" : "";
  return sign + abs(all / 10).toString() + "." + abs(all % 10).toString();
}

export function init(): u32 {
  return 2000; // ms: the sensor measures no faster
}

export function poll(): void {
  if (dht22.read(reading) < 0) {
    log.write(log.Level.Warning, "the DHT22 does not answer");
    return;
  }
  log.write(log.Level.Info, tenths(reading.temperature) + " °C, " + tenths(reading.humidity) + " %");
}
