;; Blinks an LED.
(module
  (import "lab:device/led-controller@0.1.0" "set"
    (func $led.set (param $index i32) (param $red i32) (param $green i32) (param $blue i32) (result i32)))

  (global $led i32 (i32.const 0))
  (global $level (mut i32) (i32.const 0)) ;; of all three colours

  (func (export "init") (result i32)
    (i32.const 500)) ;; ms: lit for half a second, dark for half a second

  (func (export "poll")
    (global.set $level (i32.sub (i32.const 255) (global.get $level)))
    (drop (call $led.set
      (global.get $led) (global.get $level) (global.get $level) (global.get $level)))))
