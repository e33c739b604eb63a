//! Says hello, and that it is still there.
#![no_std]

use lab::log::{self, Level};

#[no_mangle]
pub extern "C" fn init() -> u32 {
    log::write(Level::Info, "hello from WebAssembly");
    1000 // ms until poll() is called, and between its calls
}

#[no_mangle]
pub extern "C" fn poll() {
    log::write(Level::Info, "still here");
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
