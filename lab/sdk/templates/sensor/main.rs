//! Reads the DHT22 and writes what it says to the log.
#![no_std]

use lab::{
    dht22,
    log::{self, Level},
};

/// A line of text in a buffer. `core::fmt` would do too, and make the module ten times as large.
struct Line {
    bytes: [u8; 48],
    size: usize,
}

impl Line {
    fn push(&mut self, text: &str) {
        self.bytes[self.size..self.size + text.len()].copy_from_slice(text.as_bytes());
        self.size += text.len();
    }

    fn push_number(&mut self, value: u32) {
        if value >= 10 {
            self.push_number(value / 10);
        }
        self.bytes[self.size] = b'0' + (value % 10) as u8;
        self.size += 1;
    }

    /// A number with one digit behind the point.
    fn push_tenths(&mut self, value: f32) {
        let tenths = (value * 10.0 + if value < 0.0 { -0.5 } else { 0.5 }) as i32;
        if tenths < 0 {
            self.push("-");
        }
        self.push_number(tenths.unsigned_abs() / 10);
        self.push(".");
        self.push_number(tenths.unsigned_abs() % 10);
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.size]).unwrap_or("")
    }
}

#[no_mangle]
pub extern "C" fn init() -> u32 {
    2000 // ms: the sensor measures no faster
}

#[no_mangle]
pub extern "C" fn poll() {
    let reading = match dht22::read() {
        Ok(reading) => reading,
        Err(_) => return log::write(Level::Warning, "the DHT22 does not answer"),
    };
    let mut line = Line {
        bytes: [0; 48],
        size: 0,
    };
    line.push_tenths(reading.temperature);
    line.push(" °C, ");
    line.push_tenths(reading.humidity);
    line.push(" %");
    log::write(Level::Info, line.text());
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
