// Calls every function of the contract and publishes what it got; test_codegen.py knows what that must be.
import {
  adc, answer, bme680, buzzerController, clock, dht22, fanController, gpioProvider, i2c, kv, ledController, log,
  publish, reason, Rgb, systemInfo,
} from "lab/device";
export { cabi_realloc } from "lab/device";

function say(topic: string, value: u64): void {
  const bytes = new Uint8Array(8);
  store<u64>(bytes.dataStart, value);
  publish.send(topic, bytes);
}

export function init(): u32 {
  log.write(log.Level.Warning, "grüße");
  return 250;
}

export function poll(): void {
  say("now", clock.now());
  say("length", ledController.length());
  say("set", ledController.set(3, new Rgb(1, 2, 3)));
  say("set-two", ledController.setTwo(0, new Rgb(4, 5, 6), 99, new Rgb(7, 8, 9)));
  ledController.setAll(new Rgb(255, 254, 253));
  ledController.clear();
  buzzerController.onFor(4000000000);
  buzzerController.beep(3, 100, 50);
  buzzerController.off();
  fanController.set(true);
  say("is-on", fanController.isOn());

  say("read", gpioProvider.read(3));
  say("write", gpioProvider.write(4, true) >= 0);
  const watch = gpioProvider.watch(5, gpioProvider.Edge.Both);
  say("watch", watch >= 0);
  say("watch-error", reason(watch));
  say("edges", gpioProvider.edges(5));

  say("adc", adc.read(1));
  const failed = adc.read(2);
  say("adc-failed", failed < 0);
  say("adc-error", reason(failed));

  const bytes = new Uint8Array(8);
  const request = new Uint8Array(2);
  request[0] = 0xd0;
  request[1] = 0x01;
  const got = i2c.transfer(0x77, request, 3, bytes);
  if (got >= 0) publish.send("i2c", bytes.subarray(0, got));
  const refused = i2c.transfer(0x10, new Uint8Array(0), 1, bytes);
  say("i2c-failed", refused < 0);
  say("i2c-error", reason(refused));

  const room = new dht22.Reading();
  say("dht22", dht22.read(room) >= 0 ? <u64>(room.temperature * 100 + room.humidity) : 0);
  const air = new bme680.Reading();
  const unread = bme680.read(air);
  say("bme680-failed", unread < 0);
  say("bme680-error", reason(unread));

  say("none", kv.get("none", bytes) >= 0);
  const size = kv.get("key", bytes);
  if (size >= 0) publish.send("kv", bytes.subarray(0, size));
  const abc = new Uint8Array(3);
  for (let i = 0; i < 3; i++) abc[i] = <u8>(97 + i);
  say("kv-set", kv.set("key", abc) >= 0);
  say("kv-delete", kv.delete_("key"));

  const info = new systemInfo.Info();
  systemInfo.get(info);
  say("uptime", info.uptime);
  say("memory", info.memoryTotal - info.memoryFree);
  say("load", <u64>info.cpuLoad);
}

export function onCommand(input: usize, size: usize): usize {
  const bytes = new Uint8Array(<i32>size);
  for (let i: usize = 0; i < size; i++) bytes[<i32>i] = load<u8>(input + size - 1 - i);
  return answer(bytes);
}
