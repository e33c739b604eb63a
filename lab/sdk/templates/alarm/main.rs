//! Watches the room's temperature and air: LED 1 and LED 2 show them in colours, the buzzer says when they
//! get bad.
//!
//! A colour that was entered is left only HYSTERESIS beyond the limit, so that a value at a limit does not
//! flicker. The air's score goes from 0 (clean) to 500: a quarter of it is how far humidity is from 40 %,
//! three quarters how far the gas resistance has fallen below that of clean air, which is learnt in the first
//! readings.
#![no_std]

use core::ptr::addr_of_mut;

use lab::{
    bme680, buzzer_controller, dht22, led_controller,
    log::{self, Level},
    Rgb,
};

const ROOM_LED: u32 = 1;
const AIR_LED: u32 = 2;

// °C
const HOT: f32 = 30.0;
const WARM: f32 = 25.0;
const COLD: f32 = 15.0;
const HYSTERESIS: f32 = 2.0;

const CALIBRATION: u32 = 10; // readings
const BEST_HUMIDITY: f32 = 40.0;
const AIR_ALARM: f32 = 200.0;
const AIR_ALARM_ENDS: f32 = 180.0;

const RED: Rgb = rgb(255, 0, 0);
const ORANGE: Rgb = rgb(255, 120, 0);
const YELLOW: Rgb = rgb(255, 255, 0);
const LIME: Rgb = rgb(128, 255, 0);
const GREEN: Rgb = rgb(0, 255, 0);
const BLUE: Rgb = rgb(0, 0, 255);
const PURPLE: Rgb = rgb(128, 0, 128);
const OFF: Rgb = rgb(0, 0, 0);

const fn rgb(red: u8, green: u8, blue: u8) -> Rgb {
    Rgb { red, green, blue }
}

struct Room {
    hot: bool,
    warm: bool,
    cold: bool,
}

impl Room {
    fn watch(&mut self) {
        let reading = match dht22::read() {
            Ok(reading) => reading,
            Err(_) => {
                led_controller::set(ROOM_LED, OFF);
                return;
            }
        };
        let t = reading.temperature;
        let was_hot = self.hot;
        self.hot = t > HOT || (self.hot && t >= HOT - HYSTERESIS);
        self.warm = t > WARM || (self.warm && t >= WARM - HYSTERESIS);
        self.cold = t < COLD || (self.cold && t <= COLD + HYSTERESIS);
        led_controller::set(ROOM_LED, self.colour());
        if self.hot && !was_hot {
            buzzer_controller::beep(3, 200, 200);
            log::write(Level::Warning, "the room is too hot");
        }
    }

    fn colour(&self) -> Rgb {
        match self {
            Room { hot: true, .. } => RED,
            Room { warm: true, .. } => ORANGE,
            Room { cold: true, .. } => BLUE,
            _ => GREEN,
        }
    }
}

struct Air {
    calibrated: u32, // readings so far
    baseline: f32,   // Ω, of clean air
    bad: bool,
}

impl Air {
    fn watch(&mut self) {
        let reading = match bme680::read() {
            Ok(reading) => reading,
            Err(_) => {
                led_controller::set(AIR_LED, OFF);
                return;
            }
        };
        let gas = reading.gas_resistance;
        if gas <= 0.0 {
            return; // the heater is not stable yet
        }
        if self.calibrated < CALIBRATION {
            self.calibrated += 1;
            self.baseline += (gas - self.baseline) / self.calibrated as f32; // their mean
            led_controller::set(AIR_LED, PURPLE);
            return;
        }
        if gas > self.baseline {
            self.baseline = gas; // cleaner than what it took for clean
        }
        let score = self.score(gas, reading.humidity);
        let was_bad = self.bad;
        self.bad = score > AIR_ALARM || (self.bad && score > AIR_ALARM_ENDS);
        led_controller::set(AIR_LED, self.colour(score));
        if self.bad && !was_bad {
            buzzer_controller::on_for(1000);
            log::write(Level::Warning, "the air is bad");
        }
    }

    fn score(&self, gas: f32, humidity: f32) -> f32 {
        let off_best = if humidity > BEST_HUMIDITY {
            (humidity - BEST_HUMIDITY) / (100.0 - BEST_HUMIDITY)
        } else {
            (BEST_HUMIDITY - humidity) / BEST_HUMIDITY
        };
        125.0 * off_best + 375.0 * (1.0 - gas / self.baseline)
    }

    fn colour(&self, score: f32) -> Rgb {
        if self.bad {
            RED
        } else if score > 150.0 {
            ORANGE
        } else if score >= 100.0 {
            YELLOW
        } else if score > 50.0 {
            LIME
        } else {
            GREEN
        }
    }
}

static mut ROOM: Room = Room {
    hot: false,
    warm: false,
    cold: false,
};
static mut AIR: Air = Air {
    calibrated: 0,
    baseline: 0.0,
    bad: false,
};

#[no_mangle]
pub extern "C" fn init() -> u32 {
    1000
}

#[no_mangle]
pub extern "C" fn poll() {
    // SAFETY: an app has one thread, and its host calls one of its functions at a time.
    let (air, room) = unsafe { (&mut *addr_of_mut!(AIR), &mut *addr_of_mut!(ROOM)) };
    air.watch();
    room.watch(); // last: a new sound replaces the one before, and heat is the worse news
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
