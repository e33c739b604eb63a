;; An app that needs no compiler and no memory. `lab call ID add add 2 3`
(module
  (func (export "add") (param $a i32) (param $b i32) (result i32)
    (i32.add (local.get $a) (local.get $b))))
