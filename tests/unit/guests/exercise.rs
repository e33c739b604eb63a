//! Calls every function of the contract and publishes what it got; test_codegen.py knows what that must be.
#![no_std]

use lab::*;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

fn say(topic: &str, value: u64) {
    publish::send(topic, &value.to_le_bytes());
}

fn reason<T>(result: Result<T, Error>) -> u64 {
    result.err().map_or(99, |error| error as u64)
}

#[no_mangle]
pub extern "C" fn init() -> u32 {
    log::write(log::Level::Warning, "grüße");
    250
}

#[no_mangle]
pub extern "C" fn poll() {
    say("now", clock::now());
    say("length", led_controller::length() as u64);
    say("set", led_controller::set(3, Rgb { red: 1, green: 2, blue: 3 }) as u64);
    let (first, second) = (Rgb { red: 4, green: 5, blue: 6 }, Rgb { red: 7, green: 8, blue: 9 });
    say("set-two", led_controller::set_two(0, first, 99, second) as u64);
    led_controller::set_all(Rgb { red: 255, green: 254, blue: 253 });
    led_controller::clear();
    buzzer_controller::on_for(4_000_000_000);
    buzzer_controller::beep(3, 100, 50);
    buzzer_controller::off();
    fan_controller::set(true);
    say("is-on", fan_controller::is_on() as u64);

    say("read", gpio_provider::read(3).unwrap_or(false) as u64);
    say("write", gpio_provider::write(4, true).is_ok() as u64);
    let watch = gpio_provider::watch(5, gpio_provider::Edge::Both);
    say("watch", watch.is_ok() as u64);
    say("watch-error", reason(watch));
    say("edges", gpio_provider::edges(5).unwrap_or(0) as u64);

    say("adc", adc::read(1).unwrap_or(0) as u64);
    let failed = adc::read(2);
    say("adc-failed", failed.is_err() as u64);
    say("adc-error", reason(failed));

    let mut bytes = [0; 8];
    if let Ok(size) = i2c::transfer(0x77, b"\xd0\x01", 3, &mut bytes) {
        publish::send("i2c", &bytes[..size]);
    }
    let failed = i2c::transfer(0x10, b"", 1, &mut bytes);
    say("i2c-failed", failed.is_err() as u64);
    say("i2c-error", reason(failed));

    say("dht22", dht22::read().map_or(0, |room| (room.temperature * 100.0 + room.humidity) as u64));
    let failed = bme680::read();
    say("bme680-failed", failed.is_err() as u64);
    say("bme680-error", reason(failed));

    say("none", kv::get("none", &mut bytes).is_some() as u64);
    if let Some(size) = kv::get("key", &mut bytes) {
        publish::send("kv", &bytes[..size]);
    }
    say("kv-set", kv::set("key", b"abc").is_ok() as u64);
    say("kv-delete", kv::delete("key") as u64);

    let info = system_info::get();
    say("uptime", info.uptime);
    say("memory", info.memory_total - info.memory_free);
    say("load", info.cpu_load as u64);
}

fn reversed(input: &[u8], output: &mut [u8]) -> usize {
    for (to, from) in output.iter_mut().zip(input.iter().rev()) {
        *to = *from;
    }
    input.len()
}

on_command!(reversed);
