/* The whole device but for TLS: a gateway that says anything, parts that answer anything, time and resets.
 *
 * lab_tls_*() are replaced by a stream in the clear, so that the bytes of an input become messages. All that
 * the device says has to be messages of the schema.
 */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>

#include "codecs.h"
#include "flash.h"
#include "fuzz.h"
#include "lab/core.h"
#include "lab/simbus.h"
#include "link/crc32.h"
#include "publisher.h"

#define POOL  98304u
#define FLASH (256u * 1024u)

static struct lab_core core;
static struct input input;
static uint64_t now;
static jmp_buf out_of_reset;

/* ---- the stream in place of TLS */

static uint8_t heard[LAB_MESSAGE_MAX + 2]; /* from the device, up to the end of a message */
static size_t heard_size;
static uint8_t said[16384]; /* to the device */
static size_t said_at, said_size;

void lab_tls_start_heap(struct lab_tls *tls) {
    (void)tls;
}

const char *lab_tls_init(struct lab_tls *tls, const struct lab_port *port,
                         const struct lab_identity *identity, struct lab_tls_pipe pipe) {
    (void)port;
    (void)identity;
    tls->pipe = pipe;
    return NULL;
}

enum lab_tls_status lab_tls_start(struct lab_tls *tls) {
    (void)tls;
    heard_size = said_at = said_size = 0;
    return LAB_TLS_DONE;
}

enum lab_tls_status lab_tls_handshake(struct lab_tls *tls) {
    (void)tls;
    return LAB_TLS_DONE;
}

enum lab_tls_status lab_tls_read(struct lab_tls *tls, uint8_t *bytes, size_t size, size_t *moved) {
    (void)tls;
    size = size < said_size - said_at ? size : said_size - said_at;
    memcpy(bytes, said + said_at, size);
    said_at += size;
    *moved = size;
    return size > 0 ? LAB_TLS_DONE : LAB_TLS_WAIT;
}

static void understand(void) {
    static union any_message message;
    struct envelope envelope;
    PROMISE(codecs[0].decode(heard + 2, heard_size - 2, &envelope));
    const struct codec *codec = find_codec(envelope.envelope_kind);
    PROMISE(codec != NULL && codec->kind < 250);
    PROMISE(codec->decode(envelope.envelope_body.value, envelope.envelope_body.len, &message));
}

enum lab_tls_status lab_tls_write(struct lab_tls *tls, const uint8_t *bytes, size_t size, size_t *moved) {
    (void)tls;
    for (size_t i = 0; i < size; i++) {
        PROMISE(heard_size < sizeof heard);
        heard[heard_size++] = bytes[i];
        if (heard_size > 2 && heard_size == 2u + ((size_t)heard[0] << 8 | heard[1])) {
            understand();
            heard_size = 0;
        }
    }
    *moved = size;
    return LAB_TLS_DONE;
}

void lab_tls_close(struct lab_tls *tls) {
    (void)tls;
}

void lab_tls_set_time(struct lab_tls *tls, uint64_t unix_ms) {
    (void)tls;
    (void)unix_ms;
}

int lab_random_init(struct lab_random *random, const struct lab_port *port, const uint8_t *seed) {
    (void)random;
    (void)port;
    (void)seed;
    return 0;
}

int lab_random_bytes(void *context, unsigned char *bytes, size_t size) {
    (void)context;
    memset(bytes, 0x5a, size);
    return 0;
}

mbedtls_ms_time_t mbedtls_ms_time(void) {
    return (mbedtls_ms_time_t)now;
}

/* ---- the port */

static uint8_t line_in[8192]; /* link bytes on their way to the device */
static size_t line_at, line_size;
static uint8_t typed[LAB_CONSOLE_LINE * 2];
static size_t typed_at, typed_size;
static struct lab_frame_reader host;
static uint8_t host_body[LAB_FRAME_ROOM(LAB_LINK_BODY_MAX)];

static void say_frame(uint8_t type, uint16_t connection, const uint8_t *payload, size_t size) {
    uint8_t header[LAB_LINK_HEADER] = {type, (uint8_t)connection, (uint8_t)(connection >> 8)};
    struct lab_frame_writer writer;
    lab_frame_begin(&writer, line_in + line_size, sizeof line_in - line_size);
    lab_frame_put(&writer, header, sizeof header);
    lab_frame_put(&writer, payload, size);
    line_size += lab_frame_end(&writer);
}

static size_t port_read(const struct lab_port *port, enum lab_stream stream, uint8_t *bytes, size_t size) {
    (void)port;
    bool link = stream == LAB_LINK;
    size_t *at = link ? &line_at : &typed_at;
    size_t left = (link ? line_size : typed_size) - *at;
    size = size < left ? size : left;
    memcpy(bytes, (link ? line_in : typed) + *at, size);
    *at += size;
    return size;
}

/* Apps' texts are in lines that begin otherwise. */
static void see_console(uint8_t byte) {
    static const char wrong[] = "a message of kind "; /* that does not encode: session.c */
    static size_t seen;
    if (seen < sizeof wrong - 1) {
        seen = byte == (uint8_t)wrong[seen] ? seen + 1 : SIZE_MAX;
        PROMISE(seen != sizeof wrong - 1);
    }
    if (byte == '\n') {
        seen = 0;
    }
}

static size_t port_write(const struct lab_port *port, enum lab_stream stream, const uint8_t *bytes,
                         size_t size) {
    (void)port;
    for (size_t at = 0; stream == LAB_CONSOLE && at < size; at++) {
        see_console(bytes[at]);
    }
    for (size_t at = 0; stream == LAB_LINK && at < size;) {
        size_t body;
        at += lab_frame_feed(&host, bytes + at, size - at, &body);
        if (body > 0 && host_body[0] == 1) { /* OPEN is answered by ACCEPT */
            static const uint8_t window[4] = {0, 0, 1, 0};
            say_frame(2, (uint16_t)(host_body[1] | host_body[2] << 8), window, sizeof window);
        }
    }
    return size;
}

static uint64_t millis(const struct lab_port *port) {
    (void)port;
    return now;
}

static uint64_t micros(const struct lab_port *port) {
    (void)port;
    return 1000 * now;
}

static void idle(const struct lab_port *port, uint32_t max_ms) {
    (void)port;
    now += max_ms < 1000 ? max_ms : 1000;
}

static size_t entropy(const struct lab_port *port, uint8_t *bytes, size_t size) {
    (void)port;
    memset(bytes, 0x5a, size);
    return size;
}

static void reset(const struct lab_port *port) {
    (void)port;
    longjmp(out_of_reset, 1);
}

static void feed(const struct lab_port *port) {
    (void)port;
    now++; /* so that whoever waits for a time gets there */
}

/* What parts answer: bytes of the input that it sets apart. */
static struct input answers;

static enum lab_bus_status status(void) {
    uint8_t how = take8(&answers);
    return how < 250 ? LAB_BUS_DONE : (enum lab_bus_status)(how - 249);
}

static enum lab_bus_status i2c(const struct lab_port *port, uint8_t address, const uint8_t *out,
                               size_t out_size, uint8_t *in, size_t in_size) {
    (void)port;
    PROMISE(address < 128 && (out_size == 0 || out != NULL));
    for (size_t i = 0; i < in_size; i++) {
        in[i] = take8(&answers);
    }
    return status();
}

static enum lab_bus_status pulses(const struct lab_port *port, uint8_t pin, uint16_t start_low_us,
                                  struct lab_pulse *seen, size_t *count) {
    (void)port;
    (void)pin;
    (void)start_low_us;
    size_t most = take8(&answers);
    *count = most < *count ? most : *count;
    for (size_t i = 0; i < *count; i++) {
        seen[i] = (struct lab_pulse){50, take8(&answers)};
    }
    return status();
}

static enum lab_bus_status strip(const struct lab_port *port, uint8_t number, const uint8_t *bytes,
                                 size_t size) {
    (void)port;
    (void)number;
    free(exact(bytes, size));
    return status();
}

static enum lab_bus_status gpio_write(const struct lab_port *port, uint8_t pin, bool level) {
    (void)port;
    (void)pin;
    (void)level;
    return status();
}

static enum lab_bus_status gpio_read(const struct lab_port *port, uint8_t pin, bool *level) {
    (void)port;
    (void)pin;
    *level = take8(&answers) & 1u;
    return status();
}

static enum lab_bus_status adc_read(const struct lab_port *port, uint8_t channel, uint16_t *value) {
    (void)port;
    (void)channel;
    *value = take16(&answers) & 0xfffu;
    return status();
}

static struct lab_boot boot;
static uint8_t memory[FLASH];

static void power_cut(void) {
    memset(&boot, 0, sizeof boot);
    longjmp(out_of_reset, 1);
}

static _Alignas(8) uint8_t pool[POOL];
static uint8_t blob[LAB_IDENTITY_MAX];
static const uint8_t build_id[20];

static struct lab_port port = {
    .board = "fuzz",
    .build_id = build_id,
    .identity = blob,
    .pool = pool,
    .pool_size = POOL,
    .boot = &boot,
    .flash_geometry = {FLASH, 4096, 4},
    .wiring = &lab_simbus_wiring,
    .read = port_read,
    .write = port_write,
    .millis = millis,
    .micros = micros,
    .idle = idle,
    .entropy = entropy,
    .reset = reset,
    .feed = feed,
    .i2c = i2c,
    .pulses = pulses,
    .strip = strip,
    .gpio_write = gpio_write,
    .gpio_read = gpio_read,
    .adc_read = adc_read,
    .flash_read = flash_read,
    .flash_program = flash_program,
    .flash_erase = flash_erase,
};

static struct zcbor_string string(const char *text) {
    return (struct zcbor_string){(const uint8_t *)text, strlen(text)};
}

static void provision(void) {
    static const uint8_t seed[32];
    publisher_start();
    struct identity identity = {
        .identity_version_m = 1,
        .identity_device_m = string("fuzz"),
        .identity_ca_certificate_m = string("ca"),
        .identity_certificate_m = string("certificate"),
        .identity_private_key_m = string("key"),
        .identity_gateway_name_m = string("gateway.lab"),
        .identity_seed_m = {seed, sizeof seed},
        .identity_publisher_key_m_l_publisher_key_m = {{publisher_point, sizeof publisher_point}},
        .identity_publisher_key_m_l_publisher_key_m_count = 1,
        .identity_vendor_m = string("lab"),
        .identity_board_class_m = string("lab"),
        .identity_development_m = 1,
    };
    size_t size;
    PROMISE(cbor_encode_identity(blob + 8, sizeof blob - 12, &identity, &size) == ZCBOR_SUCCESS);
    memcpy(blob, "LABI", 4);
    uint32_t length = (uint32_t)size, crc = lab_crc32(0, blob + 8, size);
    memcpy(blob + 4, &length, 4);
    memcpy(blob + 8 + size, &crc, 4);
    port.identity_size = size + 12;
}

/* ---- what happens */

/* A message with a good envelope around its body. */
static void say(unsigned kind, uint32_t id, const uint8_t *body, size_t size) {
    struct envelope envelope = {.envelope_kind = kind, .envelope_id = id, .envelope_body = {body, size}};
    size_t item;
    if (said_at == said_size) {
        said_at = said_size = 0;
    }
    if (sizeof said - said_size < size + 64) {
        return;
    }
    uint8_t *at = said + said_size;
    PROMISE(cbor_encode_envelope(at + 2, sizeof said - said_size - 2, &envelope, &item) == ZCBOR_SUCCESS);
    at[0] = (uint8_t)(item >> 8);
    at[1] = (uint8_t)item;
    said_size += 2 + item;
}

static void turn(uint32_t most) {
    core.work_at = 0; /* messages come without frames, which would be news to it */
    for (uint32_t turns = 0; turns < most; turns++) {
        uint32_t wait = lab_core_step(&core);
        if (wait > 0) {
            return;
        }
    }
}

/* A module with its own digest, which no mutation would find. */
struct upload {
    char name[5];
    const uint8_t *module;
    size_t size;
    uint8_t digest[32];
};

static struct upload take_upload(void) {
    struct upload upload = {.name = {'a', 'p', 'p', (char)('0' + take8(&input) % 10), '\0'}};
    upload.size = take16(&input);
    upload.module = take(&input, &upload.size);
    PROMISE(mbedtls_sha256(upload.module, upload.size, upload.digest, 0) == 0);
    return upload;
}

static void deploy(const struct upload *upload, struct zcbor_string envelope) {
    uint8_t body[LAB_MESSAGE_MAX];
    struct deploy_begin begin = {
        .deploy_begin_app_m = string(upload->name),
        .deploy_begin_module_size_m = (uint32_t)upload->size,
        .deploy_begin_digest_m = {upload->digest, sizeof upload->digest},
        .deploy_begin_envelope_bytes_m = envelope,
    };
    size_t encoded;
    PROMISE(cbor_encode_deploy_begin(body, sizeof body, &begin, &encoded) == ZCBOR_SUCCESS);
    say(69, 1, body, encoded);
    turn(100);
    for (size_t at = 0; at < upload->size;) {
        size_t piece = upload->size - at < LAB_CHUNK_MAX ? upload->size - at : LAB_CHUNK_MAX;
        struct deploy_chunk chunk = {.deploy_chunk_offset_m = (uint32_t)at,
                                     .deploy_chunk_chunk_m = {upload->module + at, piece}};
        PROMISE(cbor_encode_deploy_chunk(body, sizeof body, &chunk, &encoded) == ZCBOR_SUCCESS);
        say(70, 2, body, encoded);
        turn(100);
        at += piece;
    }
    say(71, 3, (const uint8_t *)"\xa0", 1);
    turn(100);
}

/* The same, signed: any claims about it, one of their bytes changed perhaps, under a signature that is good.
 */
static void deploy_signed(void) {
    static const char *const offered[] = {"log", "clock", "publish", "kv", "system-info", "nothing"};
    struct package claims = {
        .package_version_m = 1,
        .package_app_version_m = string("1.0"),
        .package_vendor_m = string("lab"),
        .package_sequence_m = take8(&input),
        .package_trial_polls_m = take8(&input) % 5u,
        .package_trial_time_m = take16(&input),
        .package_manifest_m = {.manifest_version_m = 1},
    };
    uint8_t classes = take8(&input) % 3u, interfaces = take8(&input);
    for (; claims.package_board_class_m_l_board_class_m_count < classes;) {
        claims.package_board_class_m_l_board_class_m[claims.package_board_class_m_l_board_class_m_count++] =
            string(classes == 1 ? "lab" : "other");
    }
    struct interfaces *asked = &claims.package_manifest_m.manifest_interfaces_m;
    for (size_t i = 0; i < sizeof offered / sizeof *offered; i++) {
        if (interfaces & 1u << i) {
            asked->interfaces_interface_m[asked->interfaces_interface_m_count++] = string(offered[i]);
        }
    }
    claims.package_manifest_m.manifest_memory_limit_m = take16(&input) * 16u;
    claims.package_manifest_m.manifest_instructions_m = take16(&input);
    uint16_t where = take16(&input);
    uint8_t change = take8(&input);
    struct upload upload = take_upload();
    claims.package_app_m = string(upload.name);
    claims.package_module_size_m = (uint32_t)upload.size;
    claims.package_digest_m = (struct zcbor_string){upload.digest, sizeof upload.digest};
    uint8_t payload[512], envelope[sizeof payload + ENVELOPE_MORE];
    size_t size;
    if (cbor_encode_package(payload, sizeof payload, &claims, &size) != ZCBOR_SUCCESS) {
        return; /* beyond the schema */
    }
    payload[where % size] ^= change;
    size = publisher_wrap(envelope, publisher_point, payload, size, NULL);
    deploy(&upload, (struct zcbor_string){envelope, size});
}

static void happen(void) {
    size_t size;
    const uint8_t *bytes;
    switch (take8(&input) % 9) {
    case 0: { /* a message */
        uint8_t kind = take8(&input), id = take8(&input);
        size = take16(&input) % LAB_MESSAGE_MAX;
        bytes = take(&input, &size);
        say(kind, id, bytes, size);
        break;
    }
    case 1: /* of the parts, from now on */
        size = take8(&input);
        bytes = take(&input, &size);
        answers = (struct input){bytes, size};
        break;
    case 2: {
        struct upload upload = take_upload();
        deploy(&upload, string(""));
        break;
    }
    case 3: /* anything in the stream */
        size = take8(&input);
        bytes = take(&input, &size);
        if (size <= sizeof said - said_size) {
            memcpy(said + said_size, bytes, size);
            said_size += size;
        }
        break;
    case 4:
        now += take16(&input);
        break;
    case 5: /* on the console, but for `fault`, which does as it says */
        size = take8(&input) % sizeof typed;
        bytes = take(&input, &size);
        for (size_t i = 0; i < size; i++) {
            typed[i] = bytes[i] == 'f' ? '?' : bytes[i];
        }
        typed_at = 0;
        typed_size = size;
        break;
    case 6: {
        static const uint8_t done = 0;
        uint8_t how = take8(&input);
        if (how < 100) { /* the line is cut */
            say_frame(5, 0, &done, 1);
        } else if (how < 250) { /* the power will be */
            flash.cut_at = flash.operations + 1 + how % 32u;
            flash.cut = (enum flash_cut)(how / 32u % CUT_KINDS);
        } else { /* a part of the flash is worn out */
            flash.worn[take8(&input) % (FLASH / 4096u)] = true;
        }
        break;
    }
    case 7:
        deploy_signed();
        break;
    default: /* anything on the line */
        size = take8(&input);
        bytes = take(&input, &size);
        if (size <= sizeof line_in - line_size) {
            memcpy(line_in + line_size, bytes, size);
            line_size += size;
        }
        break;
    }
    turn(200);
    if (line_at == line_size) {
        line_at = line_size = 0;
    }
}

static void start(void) {
    line_at = line_size = typed_at = typed_size = 0;
    heard_size = said_at = said_size = 0;
    lab_frame_reader_init(&host, host_body, sizeof host_body);
    lab_boot_start(&boot, LAB_BOOT_POWER_ON);
    lab_core_init(&core, &port);
    PROMISE(core.problem == NULL);
    /* Connected and welcomed, as far as the gateway is concerned. */
    for (int i = 0; i < 8; i++) {
        turn(10);
        now += 10;
    }
    static const uint8_t welcome[] = {0xa3, 0x00, 0x50, 1,  2,  3,  4,    5,    6,    7,    8,    9,   10,
                                      11,   12,   13,   14, 15, 16, 0x01, 0x00, 0x02, 0x19, 0x0b, 0xb8};
    say(64, 0, welcome, sizeof welcome);
    turn(10);
    PROMISE(core.session.state == LAB_SESSION_CONNECTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static volatile int resets;
    if (port.identity_size == 0) {
        provision();
    }
    input = (struct input){data, size};
    answers = (struct input){data, 0};
    now = 0;
    resets = 0;
    memset(memory, 0xff, sizeof memory);
    memset(flash.worn, 0, sizeof flash.worn);
    flash.bytes = memory;
    flash.operations = flash.cut_at = 0;
    flash.power_cut = power_cut;
    memset(&boot, 0, sizeof boot);
    if (setjmp(out_of_reset) != 0) {
        resets++;
        wasm_runtime_destroy();
    }
    start();
    while (input.left > 0 && resets < 4) {
        happen();
    }
    wasm_runtime_destroy();
    return 0;
}
