;; What an app may ask of its device, and must give it: world device-app of lab:device@0.1.0. Generated from
;; wit/device.wit by `python -m lab.codegen`: change that, then run it again.
;;
;; Copy what you need. Texts (UTF-8) and bytes are address and size in the exported memory. $result is the
;; address of a place for the result; its layout is noted, as offset:type. Before it gives the app bytes, the
;; host asks for memory by cabi_realloc.

(module
  ;; Lines for whoever reads `lab logs`.
  ;; Write one line; what is longer than 512 bytes is cut.
  ;; level: 0 debug, 1 info, 2 warning, 3 error
  (import "lab:device/log@0.1.0" "write"
    (func $log.write (param $level i32) (param $text i32) (param $text-size i32)))

  ;; Milliseconds since the device started. Never goes back.
  (import "lab:device/clock@0.1.0" "now"
    (func $clock.now (result i64)))

  ;; Messages to the gateway.
  ;; Send `payload` (1024 bytes at most) under `topic` (1 to 64 bytes). Without a session it waits for one;
  ;; the oldest go first when there is no room.
  (import "lab:device/publish@0.1.0" "send"
    (func $publish.send (param $topic i32) (param $topic-size i32) (param $payload i32)
      (param $payload-size i32)))

  ;; A strip of addressable LEDs. Nothing is written until the app's cycle ends; then, if a colour changed,
  ;; all of it is, once.
  ;; LEDs on the strip, 0 if the board has none.
  (import "lab:device/led-controller@0.1.0" "length"
    (func $led-controller.length (result i32)))
  ;; Colour one LED, counted from 0. False if there is no such LED.
  (import "lab:device/led-controller@0.1.0" "set"
    (func $led-controller.set (param $index i32) (param $colour-red i32) (param $colour-green i32)
      (param $colour-blue i32) (result i32)))
  ;; Colour two LEDs. False, and neither is changed, if one of them does not exist.
  (import "lab:device/led-controller@0.1.0" "set-two"
    (func $led-controller.set-two (param $first i32) (param $first-colour-red i32)
      (param $first-colour-green i32) (param $first-colour-blue i32) (param $second i32)
      (param $second-colour-red i32) (param $second-colour-green i32) (param $second-colour-blue i32)
      (result i32)))
  (import "lab:device/led-controller@0.1.0" "set-all"
    (func $led-controller.set-all (param $colour-red i32) (param $colour-green i32) (param $colour-blue i32)))
  (import "lab:device/led-controller@0.1.0" "clear"
    (func $led-controller.clear))

  ;; Sounds. None of these waits; each replaces what is sounding.
  (import "lab:device/buzzer-controller@0.1.0" "on-for"
    (func $buzzer-controller.on-for (param $milliseconds i32)))
  ;; Sound `count` times for `duration` ms, silent for `interval` ms in between.
  (import "lab:device/buzzer-controller@0.1.0" "beep"
    (func $buzzer-controller.beep (param $count i32) (param $duration i32) (param $interval i32)))
  (import "lab:device/buzzer-controller@0.1.0" "off"
    (func $buzzer-controller.off))

  (import "lab:device/fan-controller@0.1.0" "set"
    (func $fan-controller.set (param $on i32)))
  (import "lab:device/fan-controller@0.1.0" "is-on"
    (func $fan-controller.is-on (result i32)))

  ;; $result: 0:u8 0 if done, then 1:u8; 1 if failed, then 1:u8 error (0 denied, 1 no-answer, 2 bus-stuck, 3
  ;; timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/gpio-provider@0.1.0" "read"
    (func $gpio-provider.read (param $pin i32) (param $result i32)))
  ;; $result: 0:u8 0 if done, then nothing; 1 if failed, then 1:u8 error (0 denied, 1 no-answer, 2 bus-stuck,
  ;; 3 timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/gpio-provider@0.1.0" "write"
    (func $gpio-provider.write (param $pin i32) (param $level i32) (param $result i32)))
  ;; Count edges on a pin from now on.
  ;; edge: 0 rising, 1 falling, 2 both
  ;; $result: 0:u8 0 if done, then nothing; 1 if failed, then 1:u8 error (0 denied, 1 no-answer, 2 bus-stuck,
  ;; 3 timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/gpio-provider@0.1.0" "watch"
    (func $gpio-provider.watch (param $pin i32) (param $edge i32) (param $result i32)))
  ;; Edges counted since `watch` or since last asked.
  ;; $result: 0:u8 0 if done, then 4:u32; 1 if failed, then 4:u8 error (0 denied, 1 no-answer, 2 bus-stuck, 3
  ;; timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/gpio-provider@0.1.0" "edges"
    (func $gpio-provider.edges (param $pin i32) (param $result i32)))

  ;; 0 (ground) to 4095 (the reference), whatever the converter's own width.
  ;; $result: 0:u8 0 if done, then 2:u16; 1 if failed, then 2:u8 error (0 denied, 1 no-answer, 2 bus-stuck, 3
  ;; timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/adc@0.1.0" "read"
    (func $adc.read (param $channel i32) (param $result i32)))

  ;; Write, then (repeated start) read `read-length` bytes, 256 at most; either part may be empty. 7-bit
  ;; address.
  ;; $result: 0:u8 0 if done, then 4:i32 address, 8:i32 size; 1 if failed, then 4:u8 error (0 denied, 1 no-
  ;; answer, 2 bus-stuck, 3 timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-
  ;; failed)
  (import "lab:device/i2c@0.1.0" "transfer"
    (func $i2c.transfer (param $address i32) (param $write i32) (param $write-size i32)
      (param $read-length i32) (param $result i32)))

  ;; The sensor measures every 2 s; asked more often, the host repeats the last reading.
  ;; $result: 0:u8 0 if done, then 4:f32 temperature, 8:f32 humidity; 1 if failed, then 4:u8 error (0 denied,
  ;; 1 no-answer, 2 bus-stuck, 3 timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9
  ;; power-failed)
  (import "lab:device/dht22@0.1.0" "read"
    (func $dht22.read (param $result i32)))

  ;; $result: 0:u8 0 if done, then 4:f32 temperature, 8:f32 humidity, 12:f32 pressure, 16:f32 gas-resistance;
  ;; 1 if failed, then 4:u8 error (0 denied, 1 no-answer, 2 bus-stuck, 3 timeout, 4 checksum, 5 bad-argument,
  ;; 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/bme680@0.1.0" "read"
    (func $bme680.read (param $result i32)))

  ;; Small values that survive a restart of the app. Each app has its own.
  ;; $result: 0:u8 1 if there is one; then 4:i32 address, 8:i32 size
  (import "lab:device/kv@0.1.0" "get"
    (func $kv.get (param $key i32) (param $key-size i32) (param $result i32)))
  ;; `key` is 1 to 32 bytes, `value` 256 at most.
  ;; $result: 0:u8 0 if done, then nothing; 1 if failed, then 1:u8 error (0 denied, 1 no-answer, 2 bus-stuck,
  ;; 3 timeout, 4 checksum, 5 bad-argument, 6 unsupported, 7 not-ready, 8 full, 9 power-failed)
  (import "lab:device/kv@0.1.0" "set"
    (func $kv.set (param $key i32) (param $key-size i32) (param $value i32) (param $value-size i32)
      (param $result i32)))
  ;; False if there was none.
  (import "lab:device/kv@0.1.0" "delete"
    (func $kv.delete (param $key i32) (param $key-size i32) (result i32)))

  ;; $result: 0:u64 uptime, 8:u64 memory-total, 16:u64 memory-free, 24:f32 cpu-load, 28:f32 cpu-temperature
  (import "lab:device/system-info@0.1.0" "get"
    (func $system-info.get (param $result i32)))

  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32)
    (result i32) (unreachable))
  ;; Called once. Returns how often `poll` is wanted, in milliseconds; 0 is never.
  (func (export "init") (result i32) (unreachable))
  (func (export "poll"))
  ;; Answer bytes that `lab command` or a plugin sent, 256 at most.
  ;; returns the address of 0:i32 address, 4:i32 size
  (func (export "on-command") (param $input i32) (param $input-size i32) (result i32) (unreachable))
)
