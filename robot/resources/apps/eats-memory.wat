(module ;; asks for memory until there is none, and fails when it gets none
  (memory 0)
  (func (export "init") (result i32)
    (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))
    i32.const 0))
