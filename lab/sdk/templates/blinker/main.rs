//! Blinks an LED.
#![no_std]

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use lab::{led_controller, Rgb};

const LED: u32 = 0;
const WHITE: Rgb = Rgb {
    red: 255,
    green: 255,
    blue: 255,
};
const OFF: Rgb = Rgb {
    red: 0,
    green: 0,
    blue: 0,
};

static LIT: AtomicBool = AtomicBool::new(false);

#[no_mangle]
pub extern "C" fn init() -> u32 {
    500 // ms: lit for half a second, dark for half a second
}

#[no_mangle]
pub extern "C" fn poll() {
    let lit = !LIT.load(Relaxed);
    LIT.store(lit, Relaxed);
    led_controller::set(LED, if lit { WHITE } else { OFF });
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
