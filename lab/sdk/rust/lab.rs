// What an app may ask of its device: world device-app of lab:device@0.1.0. Generated from wit/device.wit by
// `python -m lab.codegen`: change that, then run it again.
//
// The app exports `init` and `poll` with `#[no_mangle] pub extern "C"`, and `on-command` by `on_command!`, as
// it needs. A command's input and output are 256 bytes at most.
#![no_std]

use core::ptr::null_mut;

const INPUT_MAX: usize = 256;
static mut INPUT: [u8; INPUT_MAX] = [0; INPUT_MAX];

// Where the host may put what a function returns; null stands for INPUT, where a command's bytes go. An app
// has one thread.
static mut ROOM: (*mut u8, usize) = (null_mut(), INPUT_MAX);

#[no_mangle]
unsafe extern "C" fn cabi_realloc(_old: *mut u8, _old_size: usize, _align: usize, size: usize) -> *mut u8 {
    let (room, room_size) = ROOM;
    if size > room_size {
        core::arch::wasm32::unreachable();
    }
    if room.is_null() {
        core::ptr::addr_of_mut!(INPUT) as *mut u8
    } else {
        room
    }
}

fn with_room(value: &mut [u8], call: impl FnOnce()) {
    unsafe {
        let outer = ROOM;
        ROOM = (value.as_mut_ptr(), value.len());
        call();
        ROOM = outer;
    }
}

#[repr(C, align(8))]
struct Memory<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Memory<SIZE> {
    fn new() -> Self {
        Memory([0; SIZE])
    }

    fn address(&mut self) -> i32 {
        self.0.as_mut_ptr() as i32
    }

    /// What the host wrote at `offset`, where the canonical ABI says a `T` is.
    unsafe fn get<T: Copy>(&self, offset: usize) -> T {
        (self.0.as_ptr().add(offset) as *const T).read_unaligned()
    }
}

/// Export `on-command`: a function that takes the input and a buffer, returns how many bytes it put there.
#[macro_export]
macro_rules! on_command {
    ($handler:path) => {
        #[export_name = "on-command"]
        unsafe extern "C" fn lab_on_command(input: *const u8, size: usize) -> *const [usize; 2] {
            static mut OUTPUT: [u8; 256] = [0; 256];
            static mut RESULT: [usize; 2] = [0; 2];
            let output = core::ptr::addr_of_mut!(OUTPUT) as *mut u8;
            let handler: fn(&[u8], &mut [u8]) -> usize = $handler;
            let length = handler(
                core::slice::from_raw_parts(input, size),
                core::slice::from_raw_parts_mut(output, 256),
            );
            RESULT = [output as usize, length];
            core::ptr::addr_of!(RESULT)
        }
    };
}

/// A colour, 0 (off) to 255 a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rgb {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

/// Why the world did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// The app's manifest does not allow it.
    Denied,
    /// Nobody answers: no such part, or it is unplugged.
    NoAnswer,
    /// A line of the bus is held down.
    BusStuck,
    /// No answer in time.
    Timeout,
    /// The answer's checksum is wrong.
    Checksum,
    /// An argument the board or part cannot take.
    BadArgument,
    /// The board has no such thing.
    Unsupported,
    /// No valid value yet, for example a heater that is still cold.
    NotReady,
    /// No room left.
    Full,
    /// Power failed meanwhile.
    PowerFailed,
}

/// Lines for whoever reads `lab logs`.
pub mod log {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/log@0.1.0")]
    extern "C" {
        #[link_name = "write"]
        fn import_write(p0: i32, p1: i32, p2: i32);
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Level {
        Debug,
        Info,
        Warning,
        Error,
    }

    /// Write one line; what is longer than 512 bytes is cut.
    pub fn write(level: Level, text: &str) {
        unsafe { import_write(level as i32, text.as_ptr() as i32, text.len() as i32) };
    }
}

pub mod clock {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/clock@0.1.0")]
    extern "C" {
        #[link_name = "now"]
        fn import_now() -> i64;
    }

    /// Milliseconds since the device started. Never goes back.
    pub fn now() -> u64 {
        (unsafe { import_now() }) as u64
    }
}

/// Messages to the gateway.
pub mod publish {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/publish@0.1.0")]
    extern "C" {
        #[link_name = "send"]
        fn import_send(p0: i32, p1: i32, p2: i32, p3: i32);
    }

    /// Send `payload` (1024 bytes at most) under `topic` (1 to 64 bytes). Without a session it waits for one;
    /// the oldest go first when there is no room.
    pub fn send(topic: &str, payload: &[u8]) {
        unsafe { import_send(topic.as_ptr() as i32, topic.len() as i32, payload.as_ptr() as i32,
                             payload.len() as i32) };
    }
}

/// A strip of addressable LEDs. Nothing is written until the app's cycle ends; then, if a colour changed, all
/// of it is, once.
pub mod led_controller {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/led-controller@0.1.0")]
    extern "C" {
        #[link_name = "length"]
        fn import_length() -> i32;
        #[link_name = "set"]
        fn import_set(p0: i32, p1: i32, p2: i32, p3: i32) -> i32;
        #[link_name = "set-two"]
        fn import_set_two(p0: i32, p1: i32, p2: i32, p3: i32, p4: i32, p5: i32, p6: i32, p7: i32) -> i32;
        #[link_name = "set-all"]
        fn import_set_all(p0: i32, p1: i32, p2: i32);
        #[link_name = "clear"]
        fn import_clear();
    }

    /// LEDs on the strip, 0 if the board has none.
    pub fn length() -> u32 {
        (unsafe { import_length() }) as u32
    }

    /// Colour one LED, counted from 0. False if there is no such LED.
    pub fn set(index: u32, colour: Rgb) -> bool {
        (unsafe { import_set(index as i32, colour.red as i32, colour.green as i32, colour.blue as i32) }) != 0
    }

    /// Colour two LEDs. False, and neither is changed, if one of them does not exist.
    pub fn set_two(first: u32, first_colour: Rgb, second: u32, second_colour: Rgb) -> bool {
        (unsafe { import_set_two(first as i32, first_colour.red as i32, first_colour.green as i32,
         first_colour.blue as i32, second as i32, second_colour.red as i32, second_colour.green as i32,
         second_colour.blue as i32) }) != 0
    }

    pub fn set_all(colour: Rgb) {
        unsafe { import_set_all(colour.red as i32, colour.green as i32, colour.blue as i32) };
    }

    pub fn clear() {
        unsafe { import_clear() };
    }
}

/// Sounds. None of these waits; each replaces what is sounding.
pub mod buzzer_controller {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/buzzer-controller@0.1.0")]
    extern "C" {
        #[link_name = "on-for"]
        fn import_on_for(p0: i32);
        #[link_name = "beep"]
        fn import_beep(p0: i32, p1: i32, p2: i32);
        #[link_name = "off"]
        fn import_off();
    }

    pub fn on_for(milliseconds: u32) {
        unsafe { import_on_for(milliseconds as i32) };
    }

    /// Sound `count` times for `duration` ms, silent for `interval` ms in between.
    pub fn beep(count: u32, duration: u32, interval: u32) {
        unsafe { import_beep(count as i32, duration as i32, interval as i32) };
    }

    pub fn off() {
        unsafe { import_off() };
    }
}

pub mod fan_controller {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/fan-controller@0.1.0")]
    extern "C" {
        #[link_name = "set"]
        fn import_set(p0: i32);
        #[link_name = "is-on"]
        fn import_is_on() -> i32;
    }

    pub fn set(on: bool) {
        unsafe { import_set(on as i32) };
    }

    pub fn is_on() -> bool {
        (unsafe { import_is_on() }) != 0
    }
}

pub mod gpio_provider {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/gpio-provider@0.1.0")]
    extern "C" {
        #[link_name = "read"]
        fn import_read(p0: i32, p1: i32);
        #[link_name = "write"]
        fn import_write(p0: i32, p1: i32, p2: i32);
        #[link_name = "watch"]
        fn import_watch(p0: i32, p1: i32, p2: i32);
        #[link_name = "edges"]
        fn import_edges(p0: i32, p1: i32);
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Edge {
        Rising,
        Falling,
        Both,
    }

    pub fn read(pin: u8) -> Result<bool, Error> {
        let mut result = Memory::<2>::new();
        unsafe { import_read(pin as i32, result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(1) });
        }
        Ok(unsafe { result.0[1] != 0 })
    }

    pub fn write(pin: u8, level: bool) -> Result<(), Error> {
        let mut result = Memory::<2>::new();
        unsafe { import_write(pin as i32, level as i32, result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(1) });
        }
        Ok(())
    }

    /// Count edges on a pin from now on.
    pub fn watch(pin: u8, edge: Edge) -> Result<(), Error> {
        let mut result = Memory::<2>::new();
        unsafe { import_watch(pin as i32, edge as i32, result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(1) });
        }
        Ok(())
    }

    /// Edges counted since `watch` or since last asked.
    pub fn edges(pin: u8) -> Result<u32, Error> {
        let mut result = Memory::<8>::new();
        unsafe { import_edges(pin as i32, result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(4) });
        }
        Ok(unsafe { result.get::<u32>(4) })
    }
}

pub mod adc {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/adc@0.1.0")]
    extern "C" {
        #[link_name = "read"]
        fn import_read(p0: i32, p1: i32);
    }

    /// 0 (ground) to 4095 (the reference), whatever the converter's own width.
    pub fn read(channel: u8) -> Result<u16, Error> {
        let mut result = Memory::<4>::new();
        unsafe { import_read(channel as i32, result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(2) });
        }
        Ok(unsafe { result.get::<u16>(2) })
    }
}

pub mod i2c {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/i2c@0.1.0")]
    extern "C" {
        #[link_name = "transfer"]
        fn import_transfer(p0: i32, p1: i32, p2: i32, p3: i32, p4: i32);
    }

    /// Write, then (repeated start) read `read-length` bytes, 256 at most; either part may be empty. 7-bit
    /// address.
    /// Returns how many bytes are in `value`; more than fit end the app.
    pub fn transfer(address: u8, write: &[u8], read_length: u32, value: &mut [u8]) -> Result<usize, Error> {
        let mut result = Memory::<12>::new();
        with_room(value, || unsafe { import_transfer(address as i32, write.as_ptr() as i32,
                  write.len() as i32, read_length as i32, result.address()) });
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(4) });
        }
        Ok(unsafe { result.get::<u32>(8) as usize })
    }
}

pub mod dht22 {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/dht22@0.1.0")]
    extern "C" {
        #[link_name = "read"]
        fn import_read(p0: i32);
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Reading {
        /// °C
        pub temperature: f32,
        /// % relative
        pub humidity: f32,
    }

    /// The sensor measures every 2 s; asked more often, the host repeats the last reading.
    pub fn read() -> Result<Reading, Error> {
        let mut result = Memory::<12>::new();
        unsafe { import_read(result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(4) });
        }
        Ok(unsafe { Reading { temperature: result.get::<f32>(4), humidity: result.get::<f32>(8) } })
    }
}

pub mod bme680 {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/bme680@0.1.0")]
    extern "C" {
        #[link_name = "read"]
        fn import_read(p0: i32);
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Reading {
        /// °C
        pub temperature: f32,
        /// % relative
        pub humidity: f32,
        /// hPa
        pub pressure: f32,
        /// Ω; 0 while the heater is not stable
        pub gas_resistance: f32,
    }

    pub fn read() -> Result<Reading, Error> {
        let mut result = Memory::<20>::new();
        unsafe { import_read(result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(4) });
        }
        Ok(unsafe { Reading { temperature: result.get::<f32>(4), humidity: result.get::<f32>(8),
           pressure: result.get::<f32>(12), gas_resistance: result.get::<f32>(16) } })
    }
}

/// Small values that survive a restart of the app. Each app has its own.
pub mod kv {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/kv@0.1.0")]
    extern "C" {
        #[link_name = "get"]
        fn import_get(p0: i32, p1: i32, p2: i32);
        #[link_name = "set"]
        fn import_set(p0: i32, p1: i32, p2: i32, p3: i32, p4: i32);
        #[link_name = "delete"]
        fn import_delete(p0: i32, p1: i32) -> i32;
    }

    /// Returns how many bytes are in `value`; more than fit end the app.
    pub fn get(key: &str, value: &mut [u8]) -> Option<usize> {
        let mut result = Memory::<12>::new();
        with_room(value, || unsafe { import_get(key.as_ptr() as i32, key.len() as i32, result.address()) });
        (result.0[0] != 0).then(|| unsafe { result.get::<u32>(8) as usize })
    }

    /// `key` is 1 to 32 bytes, `value` 256 at most.
    pub fn set(key: &str, value: &[u8]) -> Result<(), Error> {
        let mut result = Memory::<2>::new();
        unsafe { import_set(key.as_ptr() as i32, key.len() as i32, value.as_ptr() as i32, value.len() as i32,
                            result.address()) };
        if result.0[0] != 0 {
            return Err(unsafe { result.get::<Error>(1) });
        }
        Ok(())
    }

    /// False if there was none.
    pub fn delete(key: &str) -> bool {
        (unsafe { import_delete(key.as_ptr() as i32, key.len() as i32) }) != 0
    }
}

pub mod system_info {
    #[allow(unused_imports)]
    use super::*;

    #[link(wasm_import_module = "lab:device/system-info@0.1.0")]
    extern "C" {
        #[link_name = "get"]
        fn import_get(p0: i32);
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Info {
        /// ms
        pub uptime: u64,
        /// bytes; a gateway's node has more than 32 bits of them
        pub memory_total: u64,
        /// bytes
        pub memory_free: u64,
        /// % of one core over the last second; NaN where the host cannot tell
        pub cpu_load: f32,
        /// °C; NaN where the host cannot tell
        pub cpu_temperature: f32,
    }

    pub fn get() -> Info {
        let mut result = Memory::<32>::new();
        unsafe { import_get(result.address()) };
        unsafe { Info { uptime: result.get::<u64>(0), memory_total: result.get::<u64>(8),
                                                  memory_free: result.get::<u64>(16),
                                                  cpu_load: result.get::<f32>(24),
                                                  cpu_temperature: result.get::<f32>(28) } }
    }
}
