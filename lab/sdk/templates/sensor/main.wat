;; Reads the DHT22 and writes what it says to the log.
(module
  (import "lab:device/log@0.1.0" "write"
    (func $log.write (param $level i32) (param $text i32) (param $text-size i32)))
  ;; At $result: 0:u8 0 if done, then 4:f32 temperature, 8:f32 humidity; 1 if failed, then 4:u8 error
  (import "lab:device/dht22@0.1.0" "read"
    (func $dht22.read (param $result i32)))

  ;; 0: the reading, 16: texts, 64 to 128: the line. The device cuts memory off at $heap-base.
  (memory (export "memory") 1)
  (global $data-end (export "__data_end") i32 (i32.const 64))
  (global $heap-base (export "__heap_base") i32 (i32.const 128))
  (data (i32.const 16) "the DHT22 does not answer")
  (data (i32.const 48) " \c2\b0C, ") ;; " °C, "
  (data (i32.const 56) " %")

  ;; The device takes the first global that may change for a stack pointer, unless it begins at 0.
  (global $end (mut i32) (i32.const 0)) ;; of the line

  (func $append-byte (param $byte i32)
    (i32.store8 (global.get $end) (local.get $byte))
    (global.set $end (i32.add (global.get $end) (i32.const 1))))

  (func $append (param $text i32) (param $size i32)
    (memory.copy (global.get $end) (local.get $text) (local.get $size))
    (global.set $end (i32.add (global.get $end) (local.get $size))))

  (func $append-number (param $value i32)
    (if (i32.ge_u (local.get $value) (i32.const 10))
      (then (call $append-number (i32.div_u (local.get $value) (i32.const 10)))))
    (call $append-byte (i32.add (i32.const 0x30) (i32.rem_u (local.get $value) (i32.const 10)))))

  ;; A number with one digit behind the point.
  (func $append-tenths (param $value f32)
    (local $tenths i32)
    (local.set $tenths
      (i32.trunc_sat_f32_s
        (f32.add
          (f32.mul (local.get $value) (f32.const 10))
          (f32.copysign (f32.const 0.5) (local.get $value)))))
    (if (i32.lt_s (local.get $tenths) (i32.const 0))
      (then
        (call $append-byte (i32.const 0x2d)) ;; -
        (local.set $tenths (i32.sub (i32.const 0) (local.get $tenths)))))
    (call $append-number (i32.div_u (local.get $tenths) (i32.const 10)))
    (call $append-byte (i32.const 0x2e)) ;; .
    (call $append-number (i32.rem_u (local.get $tenths) (i32.const 10))))

  (func (export "init") (result i32)
    (i32.const 2000)) ;; ms: the sensor measures no faster

  (func (export "poll")
    (call $dht22.read (i32.const 0))
    (if (i32.load8_u (i32.const 0))
      (then
        (call $log.write (i32.const 2) (i32.const 16) (i32.const 25)) ;; warning
        (return)))
    (global.set $end (i32.const 64))
    (call $append-tenths (f32.load (i32.const 4)))
    (call $append (i32.const 48) (i32.const 6))
    (call $append-tenths (f32.load (i32.const 8)))
    (call $append (i32.const 56) (i32.const 2))
    (call $log.write (i32.const 1) (i32.const 64) (i32.sub (global.get $end) (i32.const 64))))) ;; info
