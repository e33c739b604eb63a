(module ;; answers 2; as healthy as version 1
  (func (export "version") (result i32) i32.const 2)
  (func (export "init") (result i32) i32.const 50)
  (func (export "poll")))
