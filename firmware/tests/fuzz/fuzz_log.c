/* The log of records in flash: writes, power cuts, restarts, and memory that is not as it was left.
 *
 * An input is the flash's unit, then a script. As long as nothing but power cuts has happened, every record
 * is as a model has it: after a cut the one that was being written may be the old or the new, and stays what
 * it is.
 */
#include <setjmp.h>

#include "flash.h"
#include "fuzz.h"
#include "store/log.h"

#define COPY   LAB_LOG_COPY_MIN
#define SECTOR 4096u
#define LAYOUT 7u

struct content {
    size_t size;
    uint8_t bytes[LAB_LOG_RECORD_MAX];
};

static struct lab_log log_;
static struct content model[LAB_LOG_IDS];
static jmp_buf out_of_power;

static void power_cut(void) {
    longjmp(out_of_power, 1);
}

static struct lab_port port = {
    .flash_geometry = {.size = 2 * COPY, .sector = SECTOR},
    .flash_read = flash_read,
    .flash_program = flash_program,
    .flash_erase = flash_erase,
};

static bool is(unsigned id, const struct content *content) {
    uint8_t bytes[LAB_LOG_RECORD_MAX];
    return lab_log_read(&log_, id, bytes, sizeof bytes) == content->size &&
           memcmp(bytes, content->bytes, content->size) == 0;
}

static void mount(void) {
    flash.cut_at = 0;
    PROMISE(lab_log_mount(&log_, &port, COPY, LAYOUT));
}

static void read_all(bool sure) {
    for (unsigned id = 0; id < LAB_LOG_IDS; id++) {
        uint8_t bytes[LAB_LOG_RECORD_MAX];
        PROMISE(lab_log_read(&log_, id, bytes, sizeof bytes) <= sizeof bytes);
        PROMISE(!sure || is(id, &model[id]));
    }
}

/* Writes, perhaps until power fails; returns whether it did. */
static bool write_one(struct input *input, bool sure) {
    static volatile unsigned id;
    static struct content content;
    id = take8(input) % 8; /* few, so that they are replaced */
    content.size = take8(input) % LAB_LOG_RECORD_MAX;
    memset(content.bytes, take8(input), content.size);
    uint8_t cut = take8(input);
    flash.cut_at = cut < 128 ? 0 : flash.operations + 1 + cut % 8;
    flash.cut = (enum flash_cut)(cut / 8 % CUT_KINDS);
    if (setjmp(out_of_power) == 0) {
        bool written = lab_log_write(&log_, id, content.bytes, content.size);
        PROMISE(written || !sure);
        if (written) {
            model[id] = content;
        }
        return false;
    }
    mount();
    if (is(id, &content)) {
        model[id] = content;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t memory[2 * COPY];
    struct input input = {data, size};
    static const uint32_t units[] = {1, 4, 8, 16, 32};
    port.flash_geometry.program = units[take8(&input) % 5];
    memset(memory, 0xff, sizeof memory);
    memset(model, 0, sizeof model);
    flash.bytes = memory;
    flash.operations = 0;
    flash.power_cut = power_cut;
    bool sure = true;
    mount();
    while (input.left > 0) {
        uint8_t what = take8(&input);
        if (what < 200) {
            if (write_one(&input, sure)) {
                read_all(sure);
            }
        } else if (what < 230) {
            mount();
            read_all(sure);
        } else { /* a byte rots, or a whole part was something else's */
            uint16_t at = take16(&input) % sizeof memory;
            size_t bytes = what < 245 ? 1 : take8(&input);
            const uint8_t *from = take(&input, &bytes);
            bytes = bytes < sizeof memory - at ? bytes : sizeof memory - at;
            memcpy(memory + at, from, bytes);
            sure = false;
            mount();
        }
    }
    mount();
    read_all(sure);
    return 0;
}
