;; Tells the gateway how long it has run, and does what the gateway says: "on" and "off" switch an LED.
(module
  (import "lab:device/clock@0.1.0" "now"
    (func $clock.now (result i64)))
  (import "lab:device/publish@0.1.0" "send"
    (func $publish.send
      (param $topic i32) (param $topic-size i32) (param $payload i32) (param $payload-size i32)))
  (import "lab:device/led-controller@0.1.0" "set"
    (func $led.set (param $index i32) (param $red i32) (param $green i32) (param $blue i32) (result i32)))

  ;; 0: texts, 32: what on-command returns, 40 to 60: digits, 64 to 128: a command. The device cuts memory off
  ;; at $heap-base.
  (memory (export "memory") 1)
  (global $data-end (export "__data_end") i32 (i32.const 64))
  (global $heap-base (export "__heap_base") i32 (i32.const 128))
  (data (i32.const 0) "say on or off")
  (data (i32.const 16) "on")
  (data (i32.const 20) "off")
  (data (i32.const 24) "uptime")

  ;; The host asks where to put a command.
  (func (export "cabi_realloc")
    (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (if (i32.gt_u (local.get $size) (i32.const 64)) (then (unreachable)))
    (i32.const 64))

  (func (export "init") (result i32)
    (i32.const 5000))

  (func (export "poll")
    (local $seconds i64)
    (local $at i32)
    (local.set $seconds (i64.div_u (call $clock.now) (i64.const 1000)))
    (local.set $at (i32.const 60))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i64.store8 (local.get $at)
        (i64.add (i64.const 0x30) (i64.rem_u (local.get $seconds) (i64.const 10))))
      (local.set $seconds (i64.div_u (local.get $seconds) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $seconds) (i64.const 0))))
    (call $publish.send
      (i32.const 24) (i32.const 6) (local.get $at) (i32.sub (i32.const 60) (local.get $at))))

  (func $is (param $input i32) (param $input-size i32) (param $word i32) (param $word-size i32) (result i32)
    (if (i32.ne (local.get $input-size) (local.get $word-size)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eqz (local.get $word-size)) (then (return (i32.const 1))))
      (local.set $word-size (i32.sub (local.get $word-size) (i32.const 1)))
      (br_if $next
        (i32.eq
          (i32.load8_u (i32.add (local.get $input) (local.get $word-size)))
          (i32.load8_u (i32.add (local.get $word) (local.get $word-size))))))
    (i32.const 0))

  ;; Address and size are at 32.
  (func $answer (param $text i32) (param $size i32) (result i32)
    (i32.store (i32.const 32) (local.get $text))
    (i32.store (i32.const 36) (local.get $size))
    (i32.const 32))

  (func (export "on-command") (param $input i32) (param $input-size i32) (result i32)
    (if (call $is (local.get $input) (local.get $input-size) (i32.const 16) (i32.const 2))
      (then
        (drop (call $led.set (i32.const 0) (i32.const 0) (i32.const 255) (i32.const 0)))
        (return (call $answer (i32.const 16) (i32.const 2)))))
    (if (call $is (local.get $input) (local.get $input-size) (i32.const 20) (i32.const 3))
      (then
        (drop (call $led.set (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (return (call $answer (i32.const 20) (i32.const 3)))))
    (call $answer (i32.const 0) (i32.const 13))))
