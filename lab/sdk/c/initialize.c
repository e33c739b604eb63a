/* Runs the constructors of static objects. Apps in C++ are linked with it; devices call _initialize first. */

void __wasm_call_ctors(void); /* the linker makes it */
void lab_initialize(void);

__attribute__((export_name("_initialize"))) void lab_initialize(void) {
    __wasm_call_ctors();
}
