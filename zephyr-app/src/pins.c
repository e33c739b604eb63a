#include "pins.h"

#include <zephyr/drivers/adc.h>
#include <zephyr/drivers/gpio.h>
#include <zephyr/drivers/i2c.h>
#include <zephyr/drivers/led_strip.h>
#include <zephyr/kernel.h>

#include "streams.h"

#define USER DT_PATH(zephyr_user)
#define LEDS DT_PROP(DT_ALIAS(led_strip), chain_length)

static const struct device *const i2c = DEVICE_DT_GET(DT_ALIAS(lab_i2c));
static const struct device *const strip = DEVICE_DT_GET(DT_ALIAS(led_strip));

/* By pin number; levels are those of the wire. */
static const struct gpio_dt_spec pins[] = {
    [PIN_DHT22] = GPIO_DT_SPEC_GET(USER, dht22_gpios),   [PIN_BUZZER] = GPIO_DT_SPEC_GET(USER, buzzer_gpios),
    [PIN_FAN] = GPIO_DT_SPEC_GET(USER, fan_gpios),       [PIN_RELAY] = GPIO_DT_SPEC_GET(USER, relay_gpios),
    [PIN_BUTTON] = GPIO_DT_SPEC_GET(USER, button_gpios),
};

#if DT_NODE_HAS_PROP(USER, io_channels)
#define INPUT(node, property, index) ADC_DT_SPEC_GET_BY_IDX(node, index),
static const struct adc_dt_spec inputs[] = {DT_FOREACH_PROP_ELEM(USER, io_channels, INPUT)};
#endif

/* Levels of the button after an edge, until the core asks; what does not fit is lost. */
K_MSGQ_DEFINE(edges, sizeof(bool), 16, 1);
static struct gpio_callback button_moved;

static void moved(const struct device *controller, struct gpio_callback *callback, gpio_port_pins_t which) {
    (void)callback;
    (void)which;
    bool level = gpio_pin_get_raw(controller, pins[PIN_BUTTON].pin) > 0;
    (void)k_msgq_put(&edges, &level, K_NO_WAIT);
    streams_wake();
}

/* Cortex-M has a counter of the core's own cycles: there the system's clock may be as slow as 32 kHz. */
#if CONFIG_CPU_CORTEX_M

#include <cmsis_core.h>

static void cycles_start(void) {
    CoreDebug->DEMCR |= CoreDebug_DEMCR_TRCENA_Msk;
    DWT->CTRL |= DWT_CTRL_CYCCNTENA_Msk;
}

static uint32_t cycles(void) {
    return DWT->CYCCNT;
}

static uint32_t us_since(uint32_t start) {
    return (cycles() - start) / (SystemCoreClock / 1000000u);
}

#else

static void cycles_start(void) {
}

static uint32_t cycles(void) {
    return k_cycle_get_32();
}

static uint32_t us_since(uint32_t start) {
    return k_cyc_to_us_floor32(cycles() - start);
}

#endif

void pins_start(void) {
    /* The buzzer sounds while its pin is low: it is silenced before anything else happens. */
    gpio_pin_configure(pins[PIN_BUZZER].port, pins[PIN_BUZZER].pin, GPIO_OUTPUT_HIGH);
    gpio_pin_configure(pins[PIN_FAN].port, pins[PIN_FAN].pin, GPIO_OUTPUT_LOW);
    gpio_pin_configure(pins[PIN_RELAY].port, pins[PIN_RELAY].pin, GPIO_OUTPUT_LOW);
    gpio_pin_configure(pins[PIN_BUTTON].port, pins[PIN_BUTTON].pin,
                       GPIO_INPUT | (pins[PIN_BUTTON].dt_flags & (GPIO_PULL_UP | GPIO_PULL_DOWN)));
    gpio_init_callback(&button_moved, moved, BIT(pins[PIN_BUTTON].pin));
    if (gpio_add_callback_dt(&pins[PIN_BUTTON], &button_moved) != 0 ||
        gpio_pin_interrupt_configure_dt(&pins[PIN_BUTTON], GPIO_INT_EDGE_BOTH) != 0) {
        k_panic(); /* an overlay whose button is on a pin that cannot interrupt */
    }
#if DT_NODE_HAS_PROP(USER, io_channels)
    for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
        if (!adc_is_ready_dt(&inputs[i]) || adc_channel_setup_dt(&inputs[i]) != 0) {
            k_panic(); /* an overlay that names what its converter cannot */
        }
    }
#endif
    cycles_start();
}

static enum lab_bus_status status(int error) {
    switch (error) {
    case 0:
        return LAB_BUS_DONE;
    case -ETIMEDOUT:
        return LAB_BUS_TIMEOUT;
    case -EBUSY:
        return LAB_BUS_STUCK;
    case -EINVAL:
    case -ENOTSUP:
        return LAB_BUS_BAD_ARGUMENT;
    default:
        return LAB_BUS_NACK; /* Zephyr's drivers say EIO */
    }
}

enum lab_bus_status pins_i2c(const struct lab_port *port, uint8_t address, const uint8_t *out,
                             size_t out_size, uint8_t *in, size_t in_size) {
    (void)port;
    if (in_size == 0) {
        return status(i2c_write(i2c, out, out_size, address));
    }
    if (out_size == 0) {
        return status(i2c_read(i2c, in, in_size, address));
    }
    return status(i2c_write_read(i2c, address, out, out_size, in, in_size));
}

static bool known(uint8_t pin) {
    return pin < ARRAY_SIZE(pins) && pins[pin].port != NULL;
}

enum lab_bus_status pins_write(const struct lab_port *port, uint8_t pin, bool level) {
    (void)port;
    if (!known(pin) || pin == PIN_DHT22 || pin == PIN_BUTTON) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    return status(gpio_pin_set_raw(pins[pin].port, pins[pin].pin, level));
}

enum lab_bus_status pins_read(const struct lab_port *port, uint8_t pin, bool *level) {
    (void)port;
    if (!known(pin)) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    int found = gpio_pin_get_raw(pins[pin].port, pins[pin].pin);
    *level = found > 0;
    return status(found < 0 ? found : 0);
}

bool pins_edge(const struct lab_port *port, uint8_t *pin, bool *level) {
    (void)port;
    *pin = PIN_BUTTON;
    return k_msgq_get(&edges, level, K_NO_WAIT) == 0;
}

enum lab_bus_status pins_adc(const struct lab_port *port, uint8_t channel, uint16_t *value) {
    (void)port;
#if DT_NODE_HAS_PROP(USER, io_channels)
    if (channel < ARRAY_SIZE(inputs)) {
        struct adc_sequence sequence = {.buffer = value, .buffer_size = sizeof *value};
        int error = adc_sequence_init_dt(&inputs[channel], &sequence);
        if (error == 0) {
            error = adc_read_dt(&inputs[channel], &sequence);
        }
        *value = (uint16_t)(((uint32_t)*value << 12) >> inputs[channel].resolution);
        return status(error);
    }
#else
    (void)value;
#endif
    (void)channel;
    return LAB_BUS_UNSUPPORTED;
}

/* ---- single wire */

/* How long the pin stays at `level`, in microseconds; 0 if longer than 200. */
static uint16_t pulse(const struct gpio_dt_spec *pin, bool level) {
    uint32_t start = cycles();
    while ((gpio_pin_get_raw(pin->port, pin->pin) != 0) == level) {
        if (us_since(start) > 200) {
            return 0;
        }
    }
    uint32_t us = us_since(start);
    return (uint16_t)(us > 0 ? us : 1);
}

static enum lab_bus_status listen(const struct gpio_dt_spec *pin, struct lab_pulse *pulses, size_t *count) {
    size_t room = *count;
    *count = 0;
    if (gpio_pin_get_raw(pin->port, pin->pin) == 0) {
        return LAB_BUS_STUCK;
    }
    if (pulse(pin, true) == 0) {
        return LAB_BUS_TIMEOUT;
    }
    while (*count < room) {
        struct lab_pulse one = {.low_us = pulse(pin, false)};
        one.high_us = pulse(pin, true);
        if (one.low_us == 0 || one.high_us == 0) {
            return LAB_BUS_TIMEOUT;
        }
        pulses[(*count)++] = one;
    }
    return LAB_BUS_DONE;
}

enum lab_bus_status pins_pulses(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                struct lab_pulse *pulses, size_t *count) {
    (void)port;
    if (pin != PIN_DHT22) {
        *count = 0;
        return LAB_BUS_BAD_ARGUMENT;
    }
    const struct gpio_dt_spec *wire = &pins[pin];
    /* High first, as the wire is when nobody drives it: so that there is an edge to be seen. */
    gpio_pin_configure(wire->port, wire->pin, GPIO_OUTPUT_HIGH);
    gpio_pin_set_raw(wire->port, wire->pin, 0);
    uint32_t start = cycles();
    while (us_since(start) < start_low_us) {
    }
    /* 41 pulses take 5 ms at most; an interrupt in between would look like a longer one. */
    unsigned key = irq_lock();
    gpio_pin_set_raw(wire->port, wire->pin, 1);
    gpio_pin_configure(wire->port, wire->pin, GPIO_INPUT | GPIO_PULL_UP);
    enum lab_bus_status result = listen(wire, pulses, count);
    irq_unlock(key);
    return result;
}

enum lab_bus_status pins_strip(const struct lab_port *port, uint8_t number, const uint8_t *bytes,
                               size_t size) {
    (void)port;
    if (number != 0 || size % 3 != 0 || size / 3 > LEDS) {
        return LAB_BUS_BAD_ARGUMENT;
    }
    /* The driver overwrites what it is given. */
    struct led_rgb colours[LEDS];
    for (size_t i = 0; i < size / 3; i++) {
        colours[i] = (struct led_rgb){.g = bytes[3 * i], .r = bytes[3 * i + 1], .b = bytes[3 * i + 2]};
    }
    return status(led_strip_update_rgb(strip, colours, size / 3));
}
