/* Watches the room's temperature and air: LED 1 and LED 2 show them in colours, the buzzer says when they get
 * bad.
 *
 * A colour that was entered is left only HYSTERESIS beyond the limit, so that a value at a limit does not
 * flicker. The air's score goes from 0 (clean) to 500: a quarter of it is how far humidity is from 40 %,
 * three quarters how far the gas resistance has fallen below that of clean air, which is learnt in the first
 * readings. */
#include "lab.h"

#define ROOM_LED 1
#define AIR_LED  2

/* °C */
#define HOT        30.0f
#define WARM       25.0f
#define COLD       15.0f
#define HYSTERESIS 2.0f

#define CALIBRATION    10 /* readings */
#define BEST_HUMIDITY  40.0f
#define AIR_ALARM      200.0f
#define AIR_ALARM_ENDS 180.0f

static const struct lab_rgb red = {255, 0, 0}, orange = {255, 120, 0}, yellow = {255, 255, 0};
static const struct lab_rgb lime = {128, 255, 0}, green = {0, 255, 0}, blue = {0, 0, 255};
static const struct lab_rgb purple = {128, 0, 128}, off = {0, 0, 0};

static bool hot, warm, cold;

static uint32_t calibrated; /* readings so far */
static float baseline;      /* Ω, of clean air */
static bool bad_air;

static void watch_room(void) {
    struct lab_dht22_reading reading;
    if (!lab_dht22_read(&reading, NULL)) {
        lab_led_controller_set(ROOM_LED, off);
        return;
    }
    float t = reading.temperature;
    bool was_hot = hot;
    hot = t > HOT || (hot && t >= HOT - HYSTERESIS);
    warm = t > WARM || (warm && t >= WARM - HYSTERESIS);
    cold = t < COLD || (cold && t <= COLD + HYSTERESIS);
    lab_led_controller_set(ROOM_LED, hot ? red : warm ? orange : cold ? blue : green);
    if (hot && !was_hot) {
        lab_buzzer_controller_beep(3, 200, 200);
        lab_log_write(LAB_LOG_LEVEL_WARNING, "the room is too hot");
    }
}

static float score(float gas, float humidity) {
    float off_best = humidity > BEST_HUMIDITY ? (humidity - BEST_HUMIDITY) / (100.0f - BEST_HUMIDITY)
                                              : (BEST_HUMIDITY - humidity) / BEST_HUMIDITY;
    return 125.0f * off_best + 375.0f * (1.0f - gas / baseline);
}

static struct lab_rgb air_colour(float s) {
    if (bad_air) {
        return red;
    }
    if (s > 150.0f) {
        return orange;
    }
    if (s >= 100.0f) {
        return yellow;
    }
    return s > 50.0f ? lime : green;
}

static void watch_air(void) {
    struct lab_bme680_reading reading;
    if (!lab_bme680_read(&reading, NULL)) {
        lab_led_controller_set(AIR_LED, off);
        return;
    }
    float gas = reading.gas_resistance;
    if (gas <= 0) {
        return; /* the heater is not stable yet */
    }
    if (calibrated < CALIBRATION) {
        calibrated++;
        baseline += (gas - baseline) / (float)calibrated; /* their mean */
        lab_led_controller_set(AIR_LED, purple);
        return;
    }
    if (gas > baseline) {
        baseline = gas; /* cleaner than what it took for clean */
    }
    float s = score(gas, reading.humidity);
    bool was_bad = bad_air;
    bad_air = s > AIR_ALARM || (bad_air && s > AIR_ALARM_ENDS);
    lab_led_controller_set(AIR_LED, air_colour(s));
    if (bad_air && !was_bad) {
        lab_buzzer_controller_on_for(1000);
        lab_log_write(LAB_LOG_LEVEL_WARNING, "the air is bad");
    }
}

uint32_t init(void) {
    return 1000;
}

void poll(void) {
    watch_air();
    watch_room(); /* last: a new sound replaces the one before, and heat is the worse news */
}
