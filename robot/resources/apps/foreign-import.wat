(module ;; wants a function that the contract does not have
  (import "env" "system" (func $system (param i32) (result i32)))
  (func (export "init") (result i32) (call $system (i32.const 0))))
