#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/memory_buffer_alloc.h>
#include <wire_encode.h>

#include "check.h"
#include "console.h"
#include "identity/identity.h"
#include "lab/boot.h"
#include "link/crc32.h"
#include "random.h"
#include "session/outbox.h"
#include "text.h"

/* ---- text */

static bool cleans(const char *text, const char *expected) {
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    lab_text_clean(copy);
    return strcmp(copy, expected) == 0;
}

static void text_becomes_utf8_without_controls(void) {
    CHECK(cleans("plain", "plain"));
    CHECK(cleans("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
    CHECK(cleans("a\x1b[2J\r\n\x7f", "a?[2J???"));
    CHECK(cleans("\xff\xc3", "??"));
    CHECK(cleans("\xc0\xaf", "??"));           /* overlong */
    CHECK(cleans("\xed\xa0\x80", "???"));      /* surrogate */
    CHECK(cleans("\xf4\x90\x80\x80", "????")); /* beyond U+10FFFF */
}

static void text_is_cut_between_characters(void) {
    char out[4];
    CHECK_EQUAL(lab_text_copy(out, 4, "ab\xe2\x82\xac", 5), 2);
    CHECK_EQUAL(lab_text_copy(out, 4, "a\xe2\x82\xac", 4), 4);
    CHECK_EQUAL(lab_text_copy(out, 4, "a\xe2\x82\xac", 3),
                3); /* an incomplete one: two bytes that are none */
    CHECK(memcmp(out, "a??", 3) == 0);
}

/* ---- outbox */

static struct lab_outbox outbox;

static void put_note(const char *topic, size_t size, uint64_t uptime) {
    static const uint8_t body[2048] = {7};
    lab_outbox_put(&outbox, &(struct lab_note){.kind = LAB_NOTE_EVENT,
                                               .uptime = uptime,
                                               .app = "app",
                                               .app_size = 3,
                                               .topic = topic,
                                               .topic_size = strlen(topic),
                                               .body = body,
                                               .body_size = size});
}

static void outbox_keeps_order_and_drops_the_oldest(void) {
    struct lab_note note;
    memset(&outbox, 0, sizeof outbox);
    CHECK(!lab_outbox_peek(&outbox, &note));
    for (uint64_t i = 0; i < 100; i++) {
        put_note("t", 100, i);
    }
    CHECK(outbox.dropped > 50);
    CHECK(lab_outbox_peek(&outbox, &note));
    CHECK_EQUAL(note.uptime, outbox.dropped);
    uint64_t expected = outbox.dropped;
    while (lab_outbox_peek(&outbox, &note)) {
        CHECK_EQUAL(note.uptime, expected++);
        CHECK_EQUAL(note.body_size, 100);
        CHECK(memcmp(note.app, "app", 3) == 0 && note.topic[0] == 't' && note.body[0] == 7);
        lab_outbox_pop(&outbox);
    }
    CHECK_EQUAL(expected, 100);
    put_note("the largest event there is, with a topic of sixty-four bytes....", 1024, 5);
    CHECK(lab_outbox_peek(&outbox, &note));
    CHECK_EQUAL(note.body_size, 1024);
    uint32_t before = outbox.dropped;
    put_note("t", sizeof outbox.bytes, 6);
    CHECK_EQUAL(outbox.dropped, before + 1);
}

/* ---- boot record */

static void boot_record(void) {
    struct lab_boot boot;
    memset(&boot, 0xa5, sizeof boot); /* RAM at power-on */
    lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
    CHECK_EQUAL(boot.reason, LAB_BOOT_POWER_ON);
    CHECK_EQUAL(boot.boots, 1);
    lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
    CHECK_EQUAL(boot.reason, LAB_BOOT_RESET);
    lab_boot_fault(&boot, LAB_BOOT_HARD_FAULT, "pc=1");
    lab_boot_fault(&boot, LAB_BOOT_WATCHDOG, "the second is a consequence");
    lab_boot_start(&boot, LAB_BOOT_RESET);
    CHECK_EQUAL(boot.reason, LAB_BOOT_HARD_FAULT);
    CHECK(strcmp(boot.detail, "pc=1") == 0);
    CHECK_EQUAL(boot.boots, 3);
    lab_boot_start(&boot, LAB_BOOT_WATCHDOG);
    CHECK_EQUAL(boot.reason, LAB_BOOT_WATCHDOG);
    CHECK(boot.detail[0] == '\0');
    boot.boots ^= 1u << 20; /* a bit lost while the power was low */
    lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
    CHECK_EQUAL(boot.boots, 1);
    char text[500];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    lab_boot_fault(&boot, LAB_BOOT_PANIC, text);
    CHECK_EQUAL(strlen(boot.detail), LAB_BOOT_DETAIL_MAX);
}

/* ---- random */

static size_t no_entropy(const struct lab_port *port, uint8_t *bytes, size_t size) {
    (void)port, (void)bytes, (void)size;
    return 0;
}

static uint64_t same_time(const struct lab_port *port) {
    (void)port;
    return 12345;
}

static void a_warm_reset_repeats_no_stream(void) {
    static uint8_t heap[16384];
    static const uint8_t seed[LAB_SEED_SIZE] = {1, 2, 3};
    mbedtls_memory_buffer_alloc_init(heap, sizeof heap);
    struct lab_boot boot = {0};
    struct lab_port port = {.boot = &boot, .entropy = no_entropy, .micros = same_time};
    uint8_t streams[5][32];
    lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
    for (int i = 0; i < 5; i++) {
        struct lab_random random;
        uint8_t before[32];
        memcpy(before, boot.entropy, sizeof before);
        CHECK_EQUAL(lab_random_init(&random, &port, seed), 0);
        CHECK(memcmp(before, boot.entropy, sizeof before) != 0);
        CHECK_EQUAL(lab_random_bytes(&random, streams[i], sizeof streams[i]), 0);
        mbedtls_hmac_drbg_free(&random.drbg);
        for (int j = 0; j < i; j++) {
            CHECK(memcmp(streams[i], streams[j], sizeof streams[i]) != 0);
        }
        lab_boot_start(&boot, LAB_BOOT_UNKNOWN);
        CHECK_EQUAL(boot.reason, LAB_BOOT_RESET); /* the record was sealed again */
        boot.boots = 1;                           /* and it is not the count alone that tells them apart */
        lab_boot_seal(&boot);
    }
    mbedtls_memory_buffer_alloc_free();
}

/* ---- identity */

static uint8_t blob[LAB_IDENTITY_MAX];

static size_t provision(uint32_t version) {
    static const uint8_t bytes[32] = {9};
    struct identity identity = {
        .identity_version_m = version,
        .identity_device_m = {(const uint8_t *)"dev-1", 5},
        .identity_ca_certificate_m = {bytes, 10},
        .identity_certificate_m = {bytes, 20},
        .identity_private_key_m = {bytes, 30},
        .identity_gateway_name_m = {(const uint8_t *)"gateway.lab", 11},
        .identity_seed_m = {bytes, 32},
        .identity_unix_s_m = 1800000000,
        .identity_vendor_m = {(const uint8_t *)"lab", 3},
        .identity_board_class_m = {(const uint8_t *)"mps2-an385", 10},
    };
    size_t size = 0;
    CHECK_EQUAL(cbor_encode_identity(blob + 8, sizeof blob - 12, &identity, &size), 0);
    uint32_t words[2] = {(uint32_t)size, lab_crc32(0, blob + 8, size)};
    memcpy(blob, "LABI", 4);
    for (int i = 0; i < 4; i++) {
        blob[4 + i] = (uint8_t)(words[0] >> (8 * i));
        blob[8 + size + (size_t)i] = (uint8_t)(words[1] >> (8 * i));
    }
    return size + 12;
}

static void identity_is_read(void) {
    struct lab_identity identity;
    size_t size = provision(1);
    CHECK(lab_identity_parse(&identity, blob, sizeof blob) == NULL); /* what follows it in flash is ignored */
    CHECK(lab_identity_parse(&identity, blob, size) == NULL);
    CHECK(strcmp(identity.device, "dev-1") == 0);
    CHECK(strcmp(identity.gateway, "gateway.lab") == 0);
    CHECK_EQUAL(identity.ca.size, 10);
    CHECK_EQUAL(identity.certificate.size, 20);
    CHECK_EQUAL(identity.key.size, 30);
    CHECK_EQUAL(identity.seed.size, 32);
    CHECK_EQUAL(identity.unix_s, 1800000000);
}

static void damaged_identities_are_refused_in_words(void) {
    struct lab_identity identity;
    CHECK(lab_identity_parse(&identity, NULL, 0) != NULL);
    size_t size = provision(2);
    CHECK(strstr(lab_identity_parse(&identity, blob, size), "version") != NULL);
    size = provision(1);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, blob, cut);
        CHECK(lab_identity_parse(&identity, exact, cut) != NULL);
        free(exact);
    }
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            blob[at] ^= (uint8_t)(1u << bit);
            CHECK(lab_identity_parse(&identity, blob, size) != NULL);
            blob[at] ^= (uint8_t)(1u << bit);
        }
    }
    memset(blob, 0xff, sizeof blob); /* erased flash */
    CHECK(strstr(lab_identity_parse(&identity, blob, sizeof blob), "no identity") != NULL);
    memcpy(blob, "LABI\xff\xff\xff\xff", 8);
    CHECK(strstr(lab_identity_parse(&identity, blob, sizeof blob), "length") != NULL);
}

static void any_map_with_a_good_crc_is_survived(void) {
    struct lab_identity identity;
    srand(3);
    for (int i = 0; i < 20000; i++) {
        size_t size = provision(1) - 12;
        for (int flips = rand() % 4; flips >= 0; flips--) {
            blob[8 + (size_t)rand() % size] = (uint8_t)rand();
        }
        uint32_t crc = lab_crc32(0, blob + 8, size);
        for (int j = 0; j < 4; j++) {
            blob[8 + size + (size_t)j] = (uint8_t)(crc >> (8 * j));
        }
        uint8_t *exact = malloc(size + 12);
        memcpy(exact, blob, size + 12);
        lab_identity_parse(&identity, exact, size + 12);
        free(exact);
    }
}

/* ---- console */

static const char *typed;
static char printed[4096];
static size_t printed_size;
static size_t printed_room;

static size_t type(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size) {
    (void)port, (void)stream, (void)size;
    if (*typed == '\0') {
        return 0;
    }
    *bytes = (uint8_t)*typed++;
    return 1;
}

static size_t show(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes, size_t size) {
    (void)port, (void)stream;
    size_t left = printed_room - printed_size;
    size = size < left ? size : left;
    memcpy(printed + printed_size, bytes, size);
    printed_size += size;
    return size;
}

static struct lab_console console;
static const struct lab_port console_port = {.read = type, .write = show};

static bool line_is(const char *expected) {
    const char *line = lab_console_line(&console);
    return expected == NULL ? line == NULL : line != NULL && strcmp(line, expected) == 0;
}

static void console_lines(void) {
    lab_console_init(&console, &console_port, NULL);
    typed = "help\r\n\r\n\x1b[A\r\nstatusx\b\nfar too long a line for any command that there is, and then "
            "some more\r"
            "\xff\xfe\nrese";
    CHECK(line_is("help"));
    CHECK(line_is("status"));
    CHECK(line_is(NULL));
    typed = "t\n";
    CHECK(line_is("reset"));
}

static void console_output_that_nobody_takes(void) {
    lab_console_init(&console, &console_port, NULL);
    printed_size = printed_room = 0;
    for (int i = 0; i < 100; i++) {
        lab_console_print(&console, "line %d of what is printed", i);
    }
    CHECK(console.lost > 0);
    printed_room = sizeof printed - 1;
    lab_console_flush(&console);
    lab_console_print(&console, "after \x1b");
    printed[printed_size] = '\0';
    CHECK(strncmp(printed, "line 0 of what is printed\r\nline 1", 33) == 0);
    CHECK(strstr(printed, "bytes of console output lost]\r\nafter ?\r\n") != NULL);
}

int main(void) {
    RUN(text_becomes_utf8_without_controls);
    RUN(text_is_cut_between_characters);
    RUN(outbox_keeps_order_and_drops_the_oldest);
    RUN(boot_record);
    RUN(a_warm_reset_repeats_no_stream);
    RUN(identity_is_read);
    RUN(damaged_identities_are_refused_in_words);
    RUN(any_map_with_a_good_crc_is_survived);
    RUN(console_lines);
    RUN(console_output_that_nobody_takes);
    return REPORT();
}
