(module ;; reads what is not its own
  (memory 1)
  (func (export "init") (result i32) (i32.load (i32.const 0x7fffffff)))
  (func (export "poll")))
