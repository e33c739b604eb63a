// What an app may ask of its device: world device-app of lab:device@0.1.0. Generated from wit/device.wit by
// `python -m lab.codegen`: change that, then run it again.
//
// The app exports `init(): u32`, `poll(): void` and `onCommand(input: usize, size: usize): usize` as it
// needs; the last is given an address and returns `answer(...)`. An app that is given bytes, by a command or
// by a function here, also says:
//
//     export { cabi_realloc } from "lab/device";
//
// A function that can fail returns less than 0 if it did: `reason` says why. The texts of one call are 1024
// bytes at most, a command's input is 256.

// @ts-ignore: decorator
@inline const TEXT_MAX: i32 = 1024;
// @ts-ignore: decorator
@inline const INPUT_MAX: i32 = 256;
// @ts-ignore: decorator
@lazy const TEXT: usize = memory.data(1024);
// @ts-ignore: decorator
@lazy const INPUT: usize = memory.data(256);
// @ts-ignore: decorator
@lazy const RESULT: usize = memory.data(64, 8);

// Where the host may put what a function returns; 0 stands for INPUT, where a command's bytes go.
// @ts-ignore: decorator
@lazy let room: usize = 0;
// @ts-ignore: decorator
@lazy let roomSize: i32 = INPUT_MAX;

export function cabi_realloc(old: usize, oldSize: i32, align: i32, size: i32): usize {
  if (size > roomSize) unreachable();
  return room ? room : INPUT;
}

// Returns the bytes of a text behind `used` others in TEXT.
function putText(text: string, used: i32): i32 {
  const size = <i32>String.UTF8.byteLength(text);
  if (size > TEXT_MAX - used) unreachable();
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, TEXT + used);
  return size;
}

function giveRoom(value: Uint8Array): void {
  room = value.dataStart;
  roomSize = value.length;
}

function takeRoom(): void {
  room = 0;
  roomSize = INPUT_MAX;
}

/** Return the reason of a function that returned less than 0. */
export function reason(code: i64): LabError {
  return <LabError>(<i32>(-1 - code));
}

/** Return what `on-command` returns, so that the host takes these bytes. */
export function answer(bytes: Uint8Array): usize {
  store<usize>(RESULT, bytes.dataStart);
  store<i32>(RESULT, bytes.length, 4);
  return RESULT;
}

// A colour, 0 (off) to 255 a channel.
export class Rgb {
  constructor(
    public red: u8 = 0,
    public green: u8 = 0,
    public blue: u8 = 0,
  ) {}
}

// Why the world did not do as asked.
export enum LabError {
  // The app's manifest does not allow it.
  Denied,
  // Nobody answers: no such part, or it is unplugged.
  NoAnswer,
  // A line of the bus is held down.
  BusStuck,
  // No answer in time.
  Timeout,
  // The answer's checksum is wrong.
  Checksum,
  // An argument the board or part cannot take.
  BadArgument,
  // The board has no such thing.
  Unsupported,
  // No valid value yet, for example a heater that is still cold.
  NotReady,
  // No room left.
  Full,
  // Power failed meanwhile.
  PowerFailed,
}

// Lines for whoever reads `lab logs`.
@external("lab:device/log@0.1.0", "write")
declare function import_log_write(p0: i32, p1: i32, p2: i32): void;

export namespace log {
  export enum Level {
    Debug,
    Info,
    Warning,
    Error,
  }

  // Write one line; what is longer than 512 bytes is cut.
  export function write(level: Level, text: string): void {
    const textSize = putText(text, 0);
    import_log_write(<i32>level, <i32>(TEXT + 0), textSize);
  }
}

@external("lab:device/clock@0.1.0", "now")
declare function import_clock_now(): i64;

export namespace clock {
  // Milliseconds since the device started. Never goes back.
  export function now(): u64 {
    return import_clock_now();
  }
}

// Messages to the gateway.
@external("lab:device/publish@0.1.0", "send")
declare function import_publish_send(p0: i32, p1: i32, p2: i32, p3: i32): void;

export namespace publish {
  // Send `payload` (1024 bytes at most) under `topic` (1 to 64 bytes). Without a session it waits for one;
  // the oldest go first when there is no room.
  export function send(topic: string, payload: Uint8Array): void {
    const topicSize = putText(topic, 0);
    import_publish_send(<i32>(TEXT + 0), topicSize, <i32>payload.dataStart, payload.length);
  }
}

// A strip of addressable LEDs. Nothing is written until the app's cycle ends; then, if a colour changed, all
// of it is, once.
@external("lab:device/led-controller@0.1.0", "length")
declare function import_led_controller_length(): i32;

@external("lab:device/led-controller@0.1.0", "set")
declare function import_led_controller_set(p0: i32, p1: i32, p2: i32, p3: i32): i32;

@external("lab:device/led-controller@0.1.0", "set-two")
declare function import_led_controller_set_two(p0: i32, p1: i32, p2: i32, p3: i32, p4: i32, p5: i32, p6: i32,
                                               p7: i32): i32;

@external("lab:device/led-controller@0.1.0", "set-all")
declare function import_led_controller_set_all(p0: i32, p1: i32, p2: i32): void;

@external("lab:device/led-controller@0.1.0", "clear")
declare function import_led_controller_clear(): void;

export namespace ledController {
  // LEDs on the strip, 0 if the board has none.
  export function length(): u32 {
    return import_led_controller_length();
  }

  // Colour one LED, counted from 0. False if there is no such LED.
  export function set(index: u32, colour: Rgb): bool {
    return import_led_controller_set(<i32>index, <i32>colour.red, <i32>colour.green, <i32>colour.blue) != 0;
  }

  // Colour two LEDs. False, and neither is changed, if one of them does not exist.
  export function setTwo(first: u32, firstColour: Rgb, second: u32, secondColour: Rgb): bool {
    return import_led_controller_set_two(<i32>first, <i32>firstColour.red, <i32>firstColour.green,
                                         <i32>firstColour.blue, <i32>second, <i32>secondColour.red,
                                         <i32>secondColour.green, <i32>secondColour.blue) != 0;
  }

  export function setAll(colour: Rgb): void {
    import_led_controller_set_all(<i32>colour.red, <i32>colour.green, <i32>colour.blue);
  }

  export function clear(): void {
    import_led_controller_clear();
  }
}

// Sounds. None of these waits; each replaces what is sounding.
@external("lab:device/buzzer-controller@0.1.0", "on-for")
declare function import_buzzer_controller_on_for(p0: i32): void;

@external("lab:device/buzzer-controller@0.1.0", "beep")
declare function import_buzzer_controller_beep(p0: i32, p1: i32, p2: i32): void;

@external("lab:device/buzzer-controller@0.1.0", "off")
declare function import_buzzer_controller_off(): void;

export namespace buzzerController {
  export function onFor(milliseconds: u32): void {
    import_buzzer_controller_on_for(<i32>milliseconds);
  }

  // Sound `count` times for `duration` ms, silent for `interval` ms in between.
  export function beep(count: u32, duration: u32, interval: u32): void {
    import_buzzer_controller_beep(<i32>count, <i32>duration, <i32>interval);
  }

  export function off(): void {
    import_buzzer_controller_off();
  }
}

@external("lab:device/fan-controller@0.1.0", "set")
declare function import_fan_controller_set(p0: i32): void;

@external("lab:device/fan-controller@0.1.0", "is-on")
declare function import_fan_controller_is_on(): i32;

export namespace fanController {
  export function set(on: bool): void {
    import_fan_controller_set(<i32>on);
  }

  export function isOn(): bool {
    return import_fan_controller_is_on() != 0;
  }
}

@external("lab:device/gpio-provider@0.1.0", "read")
declare function import_gpio_provider_read(p0: i32, p1: i32): void;

@external("lab:device/gpio-provider@0.1.0", "write")
declare function import_gpio_provider_write(p0: i32, p1: i32, p2: i32): void;

@external("lab:device/gpio-provider@0.1.0", "watch")
declare function import_gpio_provider_watch(p0: i32, p1: i32, p2: i32): void;

@external("lab:device/gpio-provider@0.1.0", "edges")
declare function import_gpio_provider_edges(p0: i32, p1: i32): void;

export namespace gpioProvider {
  export enum Edge {
    Rising,
    Falling,
    Both,
  }

  export function read(pin: u8): i32 {
    import_gpio_provider_read(<i32>pin, <i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 1);
    return load<bool>(RESULT, 1);
  }

  export function write(pin: u8, level: bool): i32 {
    import_gpio_provider_write(<i32>pin, <i32>level, <i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 1);
    return 0;
  }

  // Count edges on a pin from now on.
  export function watch(pin: u8, edge: Edge): i32 {
    import_gpio_provider_watch(<i32>pin, <i32>edge, <i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 1);
    return 0;
  }

  // Edges counted since `watch` or since last asked.
  export function edges(pin: u8): i64 {
    import_gpio_provider_edges(<i32>pin, <i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 4);
    return load<u32>(RESULT, 4);
  }
}

@external("lab:device/adc@0.1.0", "read")
declare function import_adc_read(p0: i32, p1: i32): void;

export namespace adc {
  // 0 (ground) to 4095 (the reference), whatever the converter's own width.
  export function read(channel: u8): i32 {
    import_adc_read(<i32>channel, <i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 2);
    return load<u16>(RESULT, 2);
  }
}

@external("lab:device/i2c@0.1.0", "transfer")
declare function import_i2c_transfer(p0: i32, p1: i32, p2: i32, p3: i32, p4: i32): void;

export namespace i2c {
  // Write, then (repeated start) read `read-length` bytes, 256 at most; either part may be empty. 7-bit
  // address.
  export function transfer(address: u8, write: Uint8Array, readLength: u32, value: Uint8Array): i32 {
    giveRoom(value);
    import_i2c_transfer(<i32>address, <i32>write.dataStart, write.length, <i32>readLength, <i32>RESULT);
    takeRoom();
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 4);
    return load<i32>(RESULT, 8);
  }
}

@external("lab:device/dht22@0.1.0", "read")
declare function import_dht22_read(p0: i32): void;

export namespace dht22 {
  export class Reading {
    constructor(
      // °C
      public temperature: f32 = 0,
      // % relative
      public humidity: f32 = 0,
    ) {}
  }

  // The sensor measures every 2 s; asked more often, the host repeats the last reading.
  export function read(value: Reading): i32 {
    import_dht22_read(<i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 4);
    value.temperature = load<f32>(RESULT, 4);
    value.humidity = load<f32>(RESULT, 8);
    return 0;
  }
}

@external("lab:device/bme680@0.1.0", "read")
declare function import_bme680_read(p0: i32): void;

export namespace bme680 {
  export class Reading {
    constructor(
      // °C
      public temperature: f32 = 0,
      // % relative
      public humidity: f32 = 0,
      // hPa
      public pressure: f32 = 0,
      // Ω; 0 while the heater is not stable
      public gasResistance: f32 = 0,
    ) {}
  }

  export function read(value: Reading): i32 {
    import_bme680_read(<i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 4);
    value.temperature = load<f32>(RESULT, 4);
    value.humidity = load<f32>(RESULT, 8);
    value.pressure = load<f32>(RESULT, 12);
    value.gasResistance = load<f32>(RESULT, 16);
    return 0;
  }
}

// Small values that survive a restart of the app. Each app has its own.
@external("lab:device/kv@0.1.0", "get")
declare function import_kv_get(p0: i32, p1: i32, p2: i32): void;

@external("lab:device/kv@0.1.0", "set")
declare function import_kv_set(p0: i32, p1: i32, p2: i32, p3: i32, p4: i32): void;

@external("lab:device/kv@0.1.0", "delete")
declare function import_kv_delete(p0: i32, p1: i32): i32;

export namespace kv {
  export function get(key: string, value: Uint8Array): i32 {
    const keySize = putText(key, 0);
    giveRoom(value);
    import_kv_get(<i32>(TEXT + 0), keySize, <i32>RESULT);
    takeRoom();
    if (load<u8>(RESULT) == 0) return -1;
    return load<i32>(RESULT, 8);
  }

  // `key` is 1 to 32 bytes, `value` 256 at most.
  export function set(key: string, value: Uint8Array): i32 {
    const keySize = putText(key, 0);
    import_kv_set(<i32>(TEXT + 0), keySize, <i32>value.dataStart, value.length, <i32>RESULT);
    if (load<u8>(RESULT) != 0) return -1 - <i32>load<u8>(RESULT, 1);
    return 0;
  }

  // False if there was none.
  export function delete_(key: string): bool {
    const keySize = putText(key, 0);
    return import_kv_delete(<i32>(TEXT + 0), keySize) != 0;
  }
}

@external("lab:device/system-info@0.1.0", "get")
declare function import_system_info_get(p0: i32): void;

export namespace systemInfo {
  export class Info {
    constructor(
      // ms
      public uptime: u64 = 0,
      // bytes; a gateway's node has more than 32 bits of them
      public memoryTotal: u64 = 0,
      // bytes
      public memoryFree: u64 = 0,
      // % of one core over the last second; NaN where the host cannot tell
      public cpuLoad: f32 = 0,
      // °C; NaN where the host cannot tell
      public cpuTemperature: f32 = 0,
    ) {}
  }

  export function get(value: Info): void {
    import_system_info_get(<i32>RESULT);
    value.uptime = load<u64>(RESULT, 0);
    value.memoryTotal = load<u64>(RESULT, 8);
    value.memoryFree = load<u64>(RESULT, 16);
    value.cpuLoad = load<f32>(RESULT, 24);
    value.cpuTemperature = load<f32>(RESULT, 28);
  }
}
