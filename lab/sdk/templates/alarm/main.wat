;; Watches the room's temperature and air: LED 1 and LED 2 show them in colours, the buzzer says when they get
;; bad.
;;
;; A colour that was entered is left only 2 °C beyond the limit, so that a value at a limit does not flicker.
;; The air's score goes from 0 (clean) to 500: a quarter of it is how far humidity is from 40 %, three
;; quarters how far the gas resistance has fallen below that of clean air, which is learnt in the first
;; readings.
(module
  (import "lab:device/log@0.1.0" "write"
    (func $log.write (param $level i32) (param $text i32) (param $text-size i32)))
  (import "lab:device/led-controller@0.1.0" "set"
    (func $led.set (param $index i32) (param $red i32) (param $green i32) (param $blue i32) (result i32)))
  (import "lab:device/buzzer-controller@0.1.0" "on-for"
    (func $buzzer.on-for (param $milliseconds i32)))
  (import "lab:device/buzzer-controller@0.1.0" "beep"
    (func $buzzer.beep (param $count i32) (param $duration i32) (param $interval i32)))
  ;; At $result: 0:u8 0 if done, then 4:f32 temperature, 8:f32 humidity; 1 if failed, then 4:u8 error
  (import "lab:device/dht22@0.1.0" "read"
    (func $dht22.read (param $result i32)))
  ;; At $result: 0:u8 0 if done, then 4:f32 temperature, 8:f32 humidity, 12:f32 pressure, 16:f32
  ;; gas-resistance; 1 if failed, then 4:u8 error
  (import "lab:device/bme680@0.1.0" "read"
    (func $bme680.read (param $result i32)))

  ;; 0 to 20: a reading, 24 on: texts. The device cuts memory off at $heap-base.
  (memory (export "memory") 1)
  (global $data-end (export "__data_end") i32 (i32.const 64))
  (global $heap-base (export "__heap_base") i32 (i32.const 64))
  (data (i32.const 24) "the room is too hot")
  (data (i32.const 48) "the air is bad")

  ;; The device takes the first global that may change for a stack pointer, unless it begins at 0.
  (global $hot (mut i32) (i32.const 0))
  (global $warm (mut i32) (i32.const 0))
  (global $cold (mut i32) (i32.const 0))
  (global $bad-air (mut i32) (i32.const 0))
  (global $calibrated (mut i32) (i32.const 0)) ;; readings so far, of 10
  (global $baseline (mut f32) (f32.const 0)) ;; Ω, of clean air

  ;; A colour is 0xRRGGBB.
  (global $red i32 (i32.const 0xff0000))
  (global $orange i32 (i32.const 0xff7800))
  (global $yellow i32 (i32.const 0xffff00))
  (global $lime i32 (i32.const 0x80ff00))
  (global $green i32 (i32.const 0x00ff00))
  (global $blue i32 (i32.const 0x0000ff))
  (global $purple i32 (i32.const 0x800080))
  (global $off i32 (i32.const 0))

  (func $show (param $led i32) (param $colour i32)
    (drop (call $led.set
      (local.get $led)
      (i32.shr_u (local.get $colour) (i32.const 16))
      (i32.and (i32.shr_u (local.get $colour) (i32.const 8)) (i32.const 255))
      (i32.and (local.get $colour) (i32.const 255)))))

  ;; Whether $value is above $enter, or $was so and is not yet below $leave.
  (func $above (param $was i32) (param $value f32) (param $enter f32) (param $leave f32) (result i32)
    (i32.or
      (f32.gt (local.get $value) (local.get $enter))
      (i32.and (local.get $was) (f32.ge (local.get $value) (local.get $leave)))))

  (func $room-colour (result i32)
    (if (global.get $hot) (then (return (global.get $red))))
    (if (global.get $warm) (then (return (global.get $orange))))
    (if (global.get $cold) (then (return (global.get $blue))))
    (global.get $green))

  (func $watch-room
    (local $t f32)
    (local $was-hot i32)
    (call $dht22.read (i32.const 0))
    (if (i32.load8_u (i32.const 0))
      (then
        (call $show (i32.const 1) (global.get $off))
        (return)))
    (local.set $t (f32.load (i32.const 4)))
    (local.set $was-hot (global.get $hot))
    (global.set $hot (call $above (global.get $hot) (local.get $t) (f32.const 30) (f32.const 28)))
    (global.set $warm (call $above (global.get $warm) (local.get $t) (f32.const 25) (f32.const 23)))
    ;; Below 15 until above 17 is the same with the signs turned.
    (global.set $cold
      (call $above (global.get $cold) (f32.neg (local.get $t)) (f32.const -15) (f32.const -17)))
    (call $show (i32.const 1) (call $room-colour))
    (if (i32.gt_u (global.get $hot) (local.get $was-hot))
      (then
        (call $buzzer.beep (i32.const 3) (i32.const 200) (i32.const 200))
        (call $log.write (i32.const 2) (i32.const 24) (i32.const 19))))) ;; warning

  ;; How far humidity is from 40 %: 0 there, 1 at 0 % and at 100 %.
  (func $off-best (param $humidity f32) (result f32)
    (if (result f32) (f32.gt (local.get $humidity) (f32.const 40))
      (then (f32.div (f32.sub (local.get $humidity) (f32.const 40)) (f32.const 60)))
      (else (f32.div (f32.sub (f32.const 40) (local.get $humidity)) (f32.const 40)))))

  (func $score (param $gas f32) (param $humidity f32) (result f32)
    (f32.add
      (f32.mul (f32.const 125) (call $off-best (local.get $humidity)))
      (f32.mul
        (f32.const 375)
        (f32.sub (f32.const 1) (f32.div (local.get $gas) (global.get $baseline))))))

  (func $air-colour (param $score f32) (result i32)
    (if (global.get $bad-air) (then (return (global.get $red))))
    (if (f32.gt (local.get $score) (f32.const 150)) (then (return (global.get $orange))))
    (if (f32.ge (local.get $score) (f32.const 100)) (then (return (global.get $yellow))))
    (if (f32.gt (local.get $score) (f32.const 50)) (then (return (global.get $lime))))
    (global.get $green))

  ;; The baseline becomes the mean of the readings so far.
  (func $calibrate (param $gas f32)
    (global.set $calibrated (i32.add (global.get $calibrated) (i32.const 1)))
    (global.set $baseline
      (f32.add
        (global.get $baseline)
        (f32.div
          (f32.sub (local.get $gas) (global.get $baseline))
          (f32.convert_i32_u (global.get $calibrated)))))
    (call $show (i32.const 2) (global.get $purple)))

  (func $watch-air
    (local $gas f32)
    (local $score f32)
    (local $was-bad i32)
    (call $bme680.read (i32.const 0))
    (if (i32.load8_u (i32.const 0))
      (then
        (call $show (i32.const 2) (global.get $off))
        (return)))
    (local.set $gas (f32.load (i32.const 16)))
    ;; The heater is not stable yet.
    (if (f32.le (local.get $gas) (f32.const 0)) (then (return)))
    (if (i32.lt_u (global.get $calibrated) (i32.const 10))
      (then
        (call $calibrate (local.get $gas))
        (return)))
    ;; Cleaner than what it took for clean.
    (if (f32.gt (local.get $gas) (global.get $baseline))
      (then (global.set $baseline (local.get $gas))))
    (local.set $score (call $score (local.get $gas) (f32.load (i32.const 8))))
    (local.set $was-bad (global.get $bad-air))
    (global.set $bad-air
      (i32.or
        (f32.gt (local.get $score) (f32.const 200))
        (i32.and (local.get $was-bad) (f32.gt (local.get $score) (f32.const 180)))))
    (call $show (i32.const 2) (call $air-colour (local.get $score)))
    (if (i32.gt_u (global.get $bad-air) (local.get $was-bad))
      (then
        (call $buzzer.on-for (i32.const 1000))
        (call $log.write (i32.const 2) (i32.const 48) (i32.const 14))))) ;; warning

  (func (export "init") (result i32)
    (i32.const 1000))

  ;; The room comes last: a new sound replaces the one before, and heat is the worse news.
  (func (export "poll")
    (call $watch-air)
    (call $watch-room)))
