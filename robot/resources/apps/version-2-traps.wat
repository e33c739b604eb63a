(module ;; starts well, and fails at its third poll: only a trial finds out
  (global $polls (mut i32) (i32.const 0))
  (func (export "version") (result i32) i32.const 2)
  (func (export "init") (result i32) i32.const 50)
  (func (export "poll")
    (global.set $polls (i32.add (global.get $polls) (i32.const 1)))
    (if (i32.ge_u (global.get $polls) (i32.const 3)) (then unreachable))))
