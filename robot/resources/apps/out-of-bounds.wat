(module ;; reads what is not its own
  ;; The device cuts memory off at $heap-base, so that it fits boards that have no whole page of 64 KiB for it.
  (memory (export "memory") 1)
  (global $data-end (export "__data_end") i32 (i32.const 64))
  (global $heap-base (export "__heap_base") i32 (i32.const 64))
  (func (export "init") (result i32) (i32.load (i32.const 0x7fffffff)))
  (func (export "poll")))
