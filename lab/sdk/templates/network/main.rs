//! Tells the gateway how long it has run, and does what the gateway says: "on" and "off" switch an LED.
#![no_std]

use lab::{clock, led_controller, publish, Rgb};

const GREEN: Rgb = Rgb {
    red: 0,
    green: 255,
    blue: 0,
};
const OFF: Rgb = Rgb {
    red: 0,
    green: 0,
    blue: 0,
};

lab::on_command!(on_command);

#[no_mangle]
pub extern "C" fn init() -> u32 {
    5000
}

#[no_mangle]
pub extern "C" fn poll() {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut seconds = clock::now() / 1000;
    loop {
        at -= 1;
        digits[at] = b'0' + (seconds % 10) as u8;
        seconds /= 10;
        if seconds == 0 {
            break;
        }
    }
    publish::send("uptime", &digits[at..]);
}

fn on_command(input: &[u8], output: &mut [u8]) -> usize {
    let answer: &[u8] = match input {
        b"on" => {
            led_controller::set(0, GREEN);
            b"on"
        }
        b"off" => {
            led_controller::set(0, OFF);
            b"off"
        }
        _ => b"say on or off",
    };
    output[..answer.len()].copy_from_slice(answer);
    answer.len()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
