#include "lab/boot.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "link/crc32.h"

#define MAGIC 0x4c41424fu /* "LABO" */

static uint32_t check(const struct lab_boot *boot) {
    return lab_crc32(0, boot, offsetof(struct lab_boot, check));
}

static bool survived(const struct lab_boot *boot) {
    return boot->magic == MAGIC && boot->check == check(boot);
}

void lab_boot_seal(struct lab_boot *boot) {
    boot->check = check(boot);
}

void lab_boot_start(struct lab_boot *boot, enum lab_boot_reason hardware) {
    bool warm = survived(boot);
    if (!warm) {
        /* What stands in `entropy` stays: noise of the RAM at power-on does no harm to a hash. */
        boot->magic = MAGIC;
        boot->boots = 0;
        boot->pending = 0;
    }
    boot->boots++;
    if (boot->pending) {
        boot->pending = 0;
    } else {
        if (hardware == LAB_BOOT_UNKNOWN) {
            hardware = warm ? LAB_BOOT_RESET : LAB_BOOT_POWER_ON;
        }
        boot->reason = hardware;
        memset(boot->detail, 0, sizeof boot->detail);
    }
    lab_boot_seal(boot);
}

void lab_boot_fault(struct lab_boot *boot, enum lab_boot_reason reason, const char *detail) {
    if (boot->pending) {
        return;
    }
    boot->pending = 1;
    boot->reason = reason;
    memset(boot->detail, 0, sizeof boot->detail);
    for (size_t i = 0; i < LAB_BOOT_DETAIL_MAX && detail[i] != '\0'; i++) {
        boot->detail[i] = detail[i];
    }
    lab_boot_seal(boot);
}

const char *lab_boot_reason_name(enum lab_boot_reason reason) {
    static const char *const names[] = {
        "power-on", "reset", "watchdog", "hard-fault", "stack-overflow", "requested", "panic", "unknown",
    };
    return (unsigned)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}
