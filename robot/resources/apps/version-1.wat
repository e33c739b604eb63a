(module ;; answers 1; polls every 50 ms and does no harm
  (func (export "version") (result i32) i32.const 1)
  (func (export "init") (result i32) i32.const 50)
  (func (export "poll")))
