;; Says hello, and that it is still there.
(module
  (import "lab:device/log@0.1.0" "write"
    (func $log.write (param $level i32) (param $text i32) (param $text-size i32)))

  ;; The device cuts memory off at $heap-base, so that the app takes no whole page of 64 KiB.
  (memory (export "memory") 1)
  (global $data-end (export "__data_end") i32 (i32.const 64))
  (global $heap-base (export "__heap_base") i32 (i32.const 64))
  (data (i32.const 0) "still here")
  (data (i32.const 16) "hello from WebAssembly")

  (global $info i32 (i32.const 1))

  (func (export "init") (result i32)
    (call $log.write (global.get $info) (i32.const 16) (i32.const 22))
    (i32.const 1000)) ;; ms until poll is called, and between its calls

  (func (export "poll")
    (call $log.write (global.get $info) (i32.const 0) (i32.const 10))))
