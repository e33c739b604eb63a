#include "session/session.h"

#include <stdio.h>
#include <string.h>

#include <wire_decode.h>
#include <wire_encode.h>

#include "cbor.h"
#include "panic.h"
#include "text.h"

#define PROTOCOL_VERSION 1u

#define BACKOFF_MIN_MS   100u
#define BACKOFF_MAX_MS   5000u
#define GREETING_MS      15000u /* for handshake and greeting, each */
#define RESET_MS         200u   /* for the answer to leave by UART and bridge, neither of which reports it */
#define HEARTBEAT_MIN_MS 100u
#define HEARTBEAT_MAX_MS 3600000u

/* The message kinds of wire.cddl. */
enum kind {
    KIND_HELLO = 1,
    KIND_READY = 2,
    KIND_HEARTBEAT = 3,
    KIND_ACK = 4,
    KIND_APP_STATUS = 5,
    KIND_LOG = 6,
    KIND_EVENT = 7,
    KIND_CALL_RESULT = 8,
    KIND_APP_LIST = 9,
    KIND_COMMAND_RESULT = 10,
    KIND_APP_USE = 11,
    KIND_WELCOME = 64,
    KIND_PENDING = 65,
    KIND_GOODBYE = 66,
    KIND_HEARTBEAT_ACK = 67,
    KIND_CONFIGURE = 68,
    KIND_DEPLOY_BEGIN = 69,
    KIND_DEPLOY_CHUNK = 70,
    KIND_DEPLOY_END = 71,
    KIND_STOP = 72,
    KIND_CALL = 73,
    KIND_LIST_APPS = 74,
    KIND_RESET = 75,
    KIND_COMMAND = 76,
    KIND_REMOVE = 77,
};

/* Room before the body: the length, the array's head, kind, id and the byte string's head at their longest.
 */
#define ENVELOPE_MAX (2u + 1u + 3u + 5u + 3u)

static uint64_t now_of(const struct lab_session *session) {
    return session->port->millis(session->port);
}

static struct zcbor_string text_of(const char *text) {
    return (struct zcbor_string){(const uint8_t *)text, strlen(text)};
}

static struct zcbor_string bytes_of(const void *bytes, size_t size) {
    return (struct zcbor_string){bytes, size};
}

static struct lab_span span_of(const struct zcbor_string *string) {
    return (struct lab_span){string->value, string->len};
}

/* ---- sending */

/* Where a message's body is encoded. */
static uint8_t *body_of(struct lab_session *session) {
    return session->out + ENVELOPE_MAX;
}

#define BODY_ROOM (LAB_MESSAGE_OUT_MAX - ENVELOPE_MAX)

/* RFC 8949, section 3. */
static size_t put_head(uint8_t *at, unsigned major, uint32_t value) {
    uint8_t first = (uint8_t)(major << 5);
    if (value < 24) {
        at[0] = (uint8_t)(first | value);
        return 1;
    }
    unsigned bytes = value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : 4;
    at[0] = (uint8_t)(first | (bytes == 1 ? 24 : bytes == 2 ? 25 : 26));
    for (unsigned i = 0; i < bytes; i++) {
        at[1 + i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
    return 1 + bytes;
}

/* Puts the envelope before the body that was encoded into body_of(); the message leaves from then on. */
static void post(struct lab_session *session, enum kind kind, uint32_t id, int encoded, size_t body_size) {
    if (encoded != ZCBOR_SUCCESS) {
        lab_console_print(session->console, "a message of kind %d does not encode: error %d", (int)kind,
                          encoded);
        return;
    }
    uint8_t head[ENVELOPE_MAX - 2];
    size_t size = put_head(head, 4, 3);
    size += put_head(head + size, 0, kind);
    size += put_head(head + size, 0, id);
    size += put_head(head + size, 2, (uint32_t)body_size);
    size_t item = size + body_size;
    session->out_at = ENVELOPE_MAX - size - 2;
    session->out_size = ENVELOPE_MAX + body_size;
    session->out[session->out_at] = (uint8_t)(item >> 8);
    session->out[session->out_at + 1] = (uint8_t)item;
    memcpy(session->out + session->out_at + 2, head, size);
}

static bool sending(const struct lab_session *session) {
    return session->out_at < session->out_size;
}

static struct app_status status_of(const struct lab_app *app) {
    return (struct app_status){
        .app_status_app_m = text_of(app->name),
        .app_status_app_state_m = app->state,
        .app_status_digest_m = bytes_of(app->digest, LAB_DIGEST_SIZE),
        .app_status_module_size_m = app->size,
        .app_status_memory_used_m = app->memory,
        .app_status_words_m = text_of(app->words),
        .app_status_sequence_m = app->sequence,
        .app_status_app_version_m = text_of(app->version),
        .app_status_rejected_digest_m = bytes_of(app->rejected_digest, app->rejected ? LAB_DIGEST_SIZE : 0),
    };
}

static size_t list_apps(struct lab_session *session, struct app_status *list) {
    size_t count = 0;
    session->use_due = true;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &session->apps->apps[i];
        if (app->name[0] != '\0') {
            list[count++] = status_of(app);
            app->changed = false;
        }
    }
    return count;
}

static void send_hello(struct lab_session *session) {
    const struct lab_port *port = session->port;
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        session->apps->apps[i].called = true; /* nobody at the other end knows what was said before */
    }
    struct hello hello = {
        .hello_version_m = PROTOCOL_VERSION,
        .hello_device_m = text_of(session->identity->device),
        .hello_board_m = text_of(port->board),
        .hello_firmware_m = text_of(LAB_VERSION),
        .hello_build_id_m = bytes_of(port->build_id, 20),
        .hello_boot_reason_m = port->boot->reason,
        .hello_boot_detail_m = text_of(port->boot->detail),
        .hello_boots_m = port->boot->boots,
        .hello_uptime_m = now_of(session),
        .hello_memory_size_m = (uint32_t)port->pool_size,
        .hello_memory_free_m = lab_apps_memory_free(session->apps),
        .hello_module_max_m = lab_apps_module_max(session->apps),
        .hello_chunk_max_m = LAB_CHUNK_MAX,
        .hello_development_m = session->identity->development,
    };
    hello.hello_app_status_m_l_app_status_m_count =
        list_apps(session, hello.hello_app_status_m_l_app_status_m);
    size_t size = 0;
    int encoded = cbor_encode_hello(body_of(session), BODY_ROOM, &hello, &size);
    post(session, KIND_HELLO, 0, encoded, size);
}

static void send_ready(struct lab_session *session) {
    struct ready ready = {.ready_uuid_m = bytes_of(session->uuid, sizeof session->uuid)};
    size_t size = 0;
    int encoded = cbor_encode_ready(body_of(session), BODY_ROOM, &ready, &size);
    post(session, KIND_READY, 0, encoded, size);
}

static void send_heartbeat(struct lab_session *session) {
    struct heartbeat heartbeat = {
        .heartbeat_uptime_m = now_of(session),
        .heartbeat_memory_free_m = lab_apps_memory_free(session->apps),
        .heartbeat_apps_running_m = lab_apps_running(session->apps),
        .heartbeat_frames_dropped_m = lab_link_dropped(session->link),
    };
    size_t size = 0;
    int encoded = cbor_encode_heartbeat(body_of(session), BODY_ROOM, &heartbeat, &size);
    post(session, KIND_HEARTBEAT, 0, encoded, size);
}

static void send_ack(struct lab_session *session, uint32_t id, enum lab_result result, const char *words,
                     uint32_t offset) {
    struct ack ack = {.ack_result_code_m = result, .ack_words_m = text_of(words), .ack_offset_m = offset};
    size_t size = 0;
    int encoded = cbor_encode_ack(body_of(session), BODY_ROOM, &ack, &size);
    post(session, KIND_ACK, id, encoded, size);
}

static void send_status(struct lab_session *session, struct lab_app *app) {
    app->changed = false;
    session->use_due = true;
    struct app_status_changed changed = {.app_status_changed_app_status_m = status_of(app)};
    size_t size = 0;
    int encoded = cbor_encode_app_status_changed(body_of(session), BODY_ROOM, &changed, &size);
    post(session, KIND_APP_STATUS, 0, encoded, size);
}

static void send_use(struct lab_session *session, struct lab_app *app) {
    app->called = false;
    struct app_use use = {
        .app_use_app_m = text_of(app->name),
        .app_use_instructions_used_m = app->instructions,
        .app_use_instructions_peak_m = app->peak,
        .app_use_instructions_m = lab_app_budget(app),
    };
    size_t size = 0;
    int encoded = cbor_encode_app_use(body_of(session), BODY_ROOM, &use, &size);
    post(session, KIND_APP_USE, 0, encoded, size);
}

static void send_log(struct lab_session *session, uint64_t uptime, uint32_t level, struct zcbor_string source,
                     struct zcbor_string text) {
    struct log_line line = {
        .log_line_uptime_m = uptime,
        .log_line_log_level_m = level,
        .log_line_log_source_m = source,
        .log_line_log_text_m = text,
    };
    size_t size = 0;
    int encoded = cbor_encode_log_line(body_of(session), BODY_ROOM, &line, &size);
    post(session, KIND_LOG, 0, encoded, size);
}

static void send_note(struct lab_session *session, const struct lab_note *note) {
    if (note->kind == LAB_NOTE_LOG) {
        send_log(session, note->uptime, note->level, bytes_of(note->app, note->app_size),
                 bytes_of(note->body, note->body_size));
        return;
    }
    struct event event = {
        .event_uptime_m = note->uptime,
        .event_app_m = bytes_of(note->app, note->app_size),
        .event_topic_m = bytes_of(note->topic, note->topic_size),
        .event_payload_m = bytes_of(note->body, note->body_size),
    };
    size_t size = 0;
    int encoded = cbor_encode_event(body_of(session), BODY_ROOM, &event, &size);
    post(session, KIND_EVENT, 0, encoded, size);
}

static void send_dropped(struct lab_session *session) {
    char text[48];
    snprintf(text, sizeof text, "%u log lines and events were dropped", (unsigned)session->outbox->dropped);
    session->outbox->dropped = 0;
    send_log(session, now_of(session), LAB_LOG_WARNING, text_of(""), text_of(text));
}

/* Says why, and ends the session when that has left. */
static void send_goodbye(struct lab_session *session, const char *why) {
    struct goodbye goodbye = {.goodbye_words_m = text_of(why)};
    size_t size = 0;
    int encoded = cbor_encode_goodbye(body_of(session), BODY_ROOM, &goodbye, &size);
    post(session, KIND_GOODBYE, 0, encoded, size);
    snprintf(session->words, sizeof session->words, "%s", why);
    session->ending = true;
}

/* ---- states */

const char *lab_session_state_name(enum lab_session_state state) {
    static const char *const names[] = {"offline",  "connecting", "TLS handshake",
                                        "greeting", "pending",    "connected"};
    return names[state];
}

static void enter(struct lab_session *session, enum lab_session_state state, uint32_t limit_ms) {
    session->state = state;
    session->give_up_at = limit_ms > 0 ? now_of(session) + limit_ms : 0;
}

static void disconnect(struct lab_session *session, const char *why) {
    bool told = session->state < LAB_SESSION_CONNECTED && strcmp(why, session->words) == 0;
    snprintf(session->words, sizeof session->words, "%s", why);
    lab_text_clean(session->words);
    if (session->state > LAB_SESSION_HANDSHAKE) {
        lab_tls_close(session->tls);
    }
    if (session->state == LAB_SESSION_CONNECTED || session->link->close_reason == LAB_CLOSE_BRIDGE_STARTED) {
        session->backoff = BACKOFF_MIN_MS;
    }
    lab_link_close(session->link, LAB_CLOSE_DONE);
    session->connect_at = now_of(session) + session->backoff;
    session->backoff = session->backoff * 2 < BACKOFF_MAX_MS ? session->backoff * 2 : BACKOFF_MAX_MS;
    session->in_size = session->out_at = session->out_size = 0;
    session->greeting_due = session->ready_due = session->ending = false;
    enter(session, LAB_SESSION_OFFLINE, 0);
    if (!told) {
        lab_console_print(session->console, "offline: %s", session->words);
    }
}

/* Silence for 2.5 heartbeats is the end, on either side. */
static uint32_t silence_limit(const struct lab_session *session) {
    return session->heartbeat * 5u / 2u;
}

static void connect(struct lab_session *session) {
    uint16_t connection = 0;
    if (lab_random_bytes(&session->tls->random, (unsigned char *)&connection, sizeof connection) != 0) {
        lab_panic(session->port, "the random generator fails");
    }
    if (session->words[0] == '\0') {
        lab_console_print(session->console, "connecting as %s", session->identity->device);
    }
    lab_link_open(session->link, connection != 0 ? connection : 1, now_of(session));
    enter(session, LAB_SESSION_LINKING, 0);
}

/* ---- receiving */

static void on_welcome(struct lab_session *session, const struct welcome *welcome) {
    lab_tls_set_time(session->tls, welcome->welcome_unix_ms_m);
    memcpy(session->uuid, welcome->welcome_uuid_m.value, sizeof session->uuid);
    uint32_t interval = welcome->welcome_interval_m;
    session->heartbeat = interval < HEARTBEAT_MIN_MS   ? HEARTBEAT_MIN_MS
                         : interval > HEARTBEAT_MAX_MS ? HEARTBEAT_MAX_MS
                                                       : interval;
    session->ready_due = true;
    if (session->state != LAB_SESSION_CONNECTED) {
        lab_console_print(session->console, "connected: welcomed by the gateway %u ms after start",
                          (unsigned)now_of(session));
    }
    session->backoff = BACKOFF_MIN_MS;
    session->words[0] = '\0';
    enter(session, LAB_SESSION_CONNECTED, silence_limit(session));
}

static void on_configure(struct lab_session *session, uint32_t id, uint32_t interval) {
    if (interval < HEARTBEAT_MIN_MS || interval > HEARTBEAT_MAX_MS) {
        send_ack(session, id, LAB_BAD_ARGUMENTS, "a heartbeat interval is 100 to 3600000 ms", 0);
        return;
    }
    session->heartbeat = interval;
    session->heartbeat_at = now_of(session) + interval;
    enter(session, LAB_SESSION_CONNECTED, silence_limit(session));
    send_ack(session, id, LAB_DONE, "", 0);
}

static void on_call(struct lab_session *session, uint32_t id, const struct call *call) {
    struct lab_value arguments[LAB_ARGUMENTS_MAX];
    struct lab_value results[LAB_RESULTS_MAX];
    size_t argument_count = call->call_value_m_l_value_m_count;
    size_t result_count = LAB_RESULTS_MAX;
    for (size_t i = 0; i < argument_count; i++) {
        const struct value_r *value = &call->call_value_m_l_value_m[i];
        bool is_float = value->value_choice == value_float_c;
        arguments[i] = (struct lab_value){
            .is_float = is_float,
            .integer = is_float ? 0 : value->value_int,
            .number = is_float ? value->value_float : 0,
        };
    }
    uint64_t before = session->port->micros(session->port);
    enum lab_result result =
        lab_apps_call(session->apps, (const char *)call->call_app_m.value, call->call_app_m.len,
                      (const char *)call->call_function_m.value, call->call_function_m.len, arguments,
                      argument_count, results, &result_count);
    struct call_result answer = {
        .call_result_result_code_m = result,
        .call_result_words_m = text_of(session->apps->words),
        .call_result_value_m_l_value_m_count = result_count,
        .call_result_microseconds_m = session->port->micros(session->port) - before,
    };
    for (size_t i = 0; i < result_count; i++) {
        struct value_r *value = &answer.call_result_value_m_l_value_m[i];
        if (results[i].is_float) {
            value->value_choice = value_float_c;
            value->value_float = results[i].number;
        } else {
            value->value_choice = value_int_c;
            value->value_int = results[i].integer;
        }
    }
    size_t size = 0;
    int encoded = cbor_encode_call_result(body_of(session), BODY_ROOM, &answer, &size);
    post(session, KIND_CALL_RESULT, id, encoded, size);
}

static void on_command(struct lab_session *session, uint32_t id, const struct command *command) {
    uint8_t bytes[LAB_COMMAND_MAX];
    size_t answered = sizeof bytes;
    uint64_t before = session->port->micros(session->port);
    enum lab_result result = lab_apps_command(session->apps, (const char *)command->command_app_m.value,
                                              command->command_app_m.len, command->command_bytes_m.value,
                                              command->command_bytes_m.len, bytes, &answered);
    struct command_result answer = {
        .command_result_result_code_m = result,
        .command_result_words_m = text_of(session->apps->words),
        .command_result_command_bytes_m = bytes_of(bytes, answered),
        .command_result_microseconds_m = session->port->micros(session->port) - before,
    };
    size_t size = 0;
    int encoded = cbor_encode_command_result(body_of(session), BODY_ROOM, &answer, &size);
    post(session, KIND_COMMAND_RESULT, id, encoded, size);
}

static void on_list_apps(struct lab_session *session, uint32_t id) {
    struct app_list list = {0};
    list.app_list_app_status_m_l_app_status_m_count =
        list_apps(session, list.app_list_app_status_m_l_app_status_m);
    size_t size = 0;
    int encoded = cbor_encode_app_list(body_of(session), BODY_ROOM, &list, &size);
    post(session, KIND_APP_LIST, id, encoded, size);
}

/* One of the messages that only a welcomed device obeys. False: its body is not of its kind. */
static bool on_request(struct lab_session *session, uint32_t kind, uint32_t id,
                       const struct zcbor_string *body) {
    struct lab_apps *apps = session->apps;
    enum lab_result result;
    uint32_t offset = 0;
    size_t taken = 0;
    union {
        struct configure configure;
        struct deploy_begin begin;
        struct deploy_chunk chunk;
        struct deploy_end end;
        struct stop stop;
        struct call call;
        struct command command;
        struct list_apps list;
        struct reset reset;
        struct remove remove;
    } m;
#define DECODE(type, member)                                                                                 \
    (cbor_decode_##type(body->value, body->len, &m.member, &taken) == ZCBOR_SUCCESS && taken == body->len)
    switch (kind) {
    case KIND_CONFIGURE:
        if (!DECODE(configure, configure)) {
            return false;
        }
        on_configure(session, id, m.configure.configure_interval_m);
        return true;
    case KIND_DEPLOY_BEGIN:
        if (!DECODE(deploy_begin, begin)) {
            return false;
        }
        result = lab_apps_begin(apps,
                                &(struct lab_deployment){
                                    .name = span_of(&m.begin.deploy_begin_app_m),
                                    .size = m.begin.deploy_begin_module_size_m,
                                    .digest = m.begin.deploy_begin_digest_m.value,
                                    .envelope = span_of(&m.begin.deploy_begin_envelope_bytes_m),
                                },
                                &offset);
        break;
    case KIND_DEPLOY_CHUNK:
        if (!DECODE(deploy_chunk, chunk)) {
            return false;
        }
        result = lab_apps_chunk(apps, m.chunk.deploy_chunk_offset_m, m.chunk.deploy_chunk_chunk_m.value,
                                m.chunk.deploy_chunk_chunk_m.len, &offset);
        break;
    case KIND_DEPLOY_END:
        if (!DECODE(deploy_end, end)) {
            return false;
        }
        offset = apps->transfer.received;
        result = lab_apps_end(apps);
        break;
    case KIND_STOP:
        if (!DECODE(stop, stop)) {
            return false;
        }
        result = lab_apps_stop(apps, (const char *)m.stop.stop_app_m.value, m.stop.stop_app_m.len);
        break;
    case KIND_REMOVE:
        if (!DECODE(remove, remove)) {
            return false;
        }
        result = lab_apps_remove(apps, (const char *)m.remove.remove_app_m.value, m.remove.remove_app_m.len);
        break;
    case KIND_CALL:
        if (!DECODE(call, call)) {
            return false;
        }
        on_call(session, id, &m.call);
        return true;
    case KIND_COMMAND:
        if (!DECODE(command, command)) {
            return false;
        }
        on_command(session, id, &m.command);
        return true;
    case KIND_LIST_APPS:
        if (!DECODE(list_apps, list)) {
            return false;
        }
        on_list_apps(session, id);
        return true;
    case KIND_RESET:
        if (!DECODE(reset, reset)) {
            return false;
        }
        session->resetting = true;
        session->reset_at = now_of(session) + RESET_MS;
        send_ack(session, id, LAB_DONE, "", 0);
        return true;
    default:
        if (id != 0) {
            send_ack(session, id, LAB_UNKNOWN_KIND, "this firmware does not know that request", 0);
        }
        return true;
    }
#undef DECODE
    send_ack(session, id, result, apps->words, offset);
    return true;
}

static bool on_message(struct lab_session *session, uint32_t kind, uint32_t id,
                       const struct zcbor_string *body) {
    size_t taken = 0;
    switch (kind) {
    case KIND_WELCOME: {
        struct welcome welcome;
        if (cbor_decode_welcome(body->value, body->len, &welcome, &taken) != ZCBOR_SUCCESS ||
            taken != body->len) {
            return false;
        }
        on_welcome(session, &welcome);
        return true;
    }
    case KIND_PENDING: {
        struct pending pending;
        if (cbor_decode_pending(body->value, body->len, &pending, &taken) != ZCBOR_SUCCESS ||
            taken != body->len) {
            return false;
        }
        lab_console_print(session->console, "pending: %.*s", (int)pending.pending_words_m.len,
                          (const char *)pending.pending_words_m.value);
        if (session->state == LAB_SESSION_GREETING) {
            enter(session, LAB_SESSION_PENDING, 0);
        }
        return true;
    }
    case KIND_GOODBYE: {
        struct goodbye goodbye;
        if (cbor_decode_goodbye(body->value, body->len, &goodbye, &taken) != ZCBOR_SUCCESS ||
            taken != body->len) {
            return false;
        }
        char why[LAB_TLS_WORDS_MAX];
        snprintf(why, sizeof why, "the gateway says goodbye: %.*s", (int)goodbye.goodbye_words_m.len,
                 (const char *)goodbye.goodbye_words_m.value);
        disconnect(session, why);
        return true;
    }
    case KIND_HEARTBEAT_ACK: {
        struct heartbeat_ack ack;
        if (cbor_decode_heartbeat_ack(body->value, body->len, &ack, &taken) != ZCBOR_SUCCESS ||
            taken != body->len) {
            return false;
        }
        lab_tls_set_time(session->tls, ack.heartbeat_ack_unix_ms_m);
        return true;
    }
    default:
        if (session->state == LAB_SESSION_CONNECTED) {
            return on_request(session, kind, id, body);
        }
        if (id != 0) {
            send_ack(session, id, LAB_REFUSED, "the device has not been welcomed", 0);
        }
        return true;
    }
}

static void on_item(struct lab_session *session, const uint8_t *item, size_t size) {
    struct envelope envelope;
    size_t taken = 0;
    if (!lab_cbor_sound(item, size) || cbor_decode_envelope(item, size, &envelope, &taken) != ZCBOR_SUCCESS ||
        taken != size) {
        send_goodbye(session, "a message is not CBOR of the form [kind, id, body]");
        return;
    }
    if (lab_cbor_sound(envelope.envelope_body.value, envelope.envelope_body.len) &&
        on_message(session, envelope.envelope_kind, envelope.envelope_id, &envelope.envelope_body)) {
        return;
    }
    lab_console_print(session->console, "malformed message of kind %u", (unsigned)envelope.envelope_kind);
    if (envelope.envelope_id != 0) {
        send_ack(session, envelope.envelope_id, LAB_MALFORMED, "the body does not match the message's kind",
                 0);
    }
}

/* ---- the stream */

static enum lab_tls_status flush(struct lab_session *session) {
    while (sending(session)) {
        size_t moved;
        enum lab_tls_status status = lab_tls_write(session->tls, session->out + session->out_at,
                                                   session->out_size - session->out_at, &moved);
        session->out_at += moved;
        if (status != LAB_TLS_DONE) {
            return status;
        }
    }
    return LAB_TLS_DONE;
}

/* Reads up to the end of one message and acts on it; LAB_TLS_DONE if it did. */
static enum lab_tls_status receive(struct lab_session *session) {
    for (;;) {
        size_t need = 2;
        if (session->in_size >= 2) {
            size_t length = (size_t)session->in[0] << 8 | session->in[1];
            if (length == 0 || length > LAB_MESSAGE_MAX) {
                send_goodbye(session, "a message is empty or longer than 4096 bytes");
                return LAB_TLS_DONE;
            }
            need += length;
            if (session->in_size == need) {
                session->in_size = 0;
                if (session->state == LAB_SESSION_CONNECTED) {
                    enter(session, LAB_SESSION_CONNECTED, silence_limit(session));
                }
                on_item(session, session->in + 2, length);
                return LAB_TLS_DONE;
            }
        }
        size_t moved;
        enum lab_tls_status status =
            lab_tls_read(session->tls, session->in + session->in_size, need - session->in_size, &moved);
        session->in_size += moved;
        if (status != LAB_TLS_DONE && status != LAB_TLS_MORE) {
            return status;
        }
    }
}

/* The next thing to tell the gateway without being asked; false if there is none. */
static bool send_next(struct lab_session *session) {
    uint64_t now = now_of(session);
    if (session->greeting_due) {
        session->greeting_due = false;
        send_hello(session);
        return true;
    }
    if (session->state != LAB_SESSION_CONNECTED) {
        return false;
    }
    if (session->ready_due) {
        session->ready_due = false;
        session->heartbeat_at = now + session->heartbeat;
        send_ready(session);
        return true;
    }
    for (size_t i = 0; i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &session->apps->apps[i];
        if (app->changed && app->name[0] != '\0') {
            send_status(session, app);
            return true;
        }
    }
    if (now >= session->heartbeat_at) {
        session->heartbeat_at = now + session->heartbeat;
        session->use_due = true;
        send_heartbeat(session);
        return true;
    }
    for (size_t i = 0; session->use_due && i < LAB_APPS_MAX; i++) {
        struct lab_app *app = &session->apps->apps[i];
        if (app->called && app->instance != NULL) {
            send_use(session, app);
            return true;
        }
    }
    session->use_due = false;
    if (session->outbox->dropped > 0) {
        send_dropped(session);
        return true;
    }
    struct lab_note note;
    if (lab_outbox_peek(session->outbox, &note)) {
        send_note(session, &note);
        lab_outbox_pop(session->outbox);
        return true;
    }
    return false;
}

static uint32_t until(uint64_t due, uint64_t now) {
    return due <= now ? 0 : due - now < UINT32_MAX ? (uint32_t)(due - now) : UINT32_MAX;
}

static uint32_t sooner(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Moves messages both ways until something has to wait or the session is over. */
static void exchange(struct lab_session *session) {
    for (;;) {
        enum lab_tls_status status = flush(session);
        if (status == LAB_TLS_DONE && session->ending) {
            char why[LAB_TLS_WORDS_MAX];
            memcpy(why, session->words, sizeof why);
            session->words[0] = '\0';
            disconnect(session, why);
            return;
        }
        if (status == LAB_TLS_DONE) {
            /* Answers first: they are what someone waits for. */
            status = receive(session);
            if (session->state == LAB_SESSION_OFFLINE) {
                return;
            }
            if (status == LAB_TLS_DONE || (status == LAB_TLS_WAIT && send_next(session))) {
                continue;
            }
        }
        if (status == LAB_TLS_CLOSED) {
            disconnect(session, "the gateway closed the connection");
            return;
        }
        if (status == LAB_TLS_FAILED) {
            disconnect(session, session->tls->words);
            return;
        }
        return;
    }
}

static void check_link(struct lab_session *session) {
    if (session->state > LAB_SESSION_OFFLINE && session->link->state == LAB_LINK_CLOSED) {
        char why[LAB_TLS_WORDS_MAX];
        const char *text = session->link->close_text;
        snprintf(why, sizeof why, "%s%s%s", lab_link_close_name(session->link->close_reason),
                 text[0] != '\0' ? ": " : "", text);
        disconnect(session, why);
    } else if (session->give_up_at != 0 && now_of(session) >= session->give_up_at) {
        disconnect(session, session->state == LAB_SESSION_HANDSHAKE ? "no answer to the TLS handshake"
                                                                    : "the gateway has fallen silent");
    }
}

static void check_reset(struct lab_session *session) {
    if (now_of(session) >= session->reset_at) {
        lab_console_print(session->console, "reset by the gateway");
        lab_boot_fault(session->port->boot, LAB_BOOT_REQUESTED, "by the gateway");
        session->port->reset(session->port);
    }
}

void lab_session_init(struct lab_session *session) {
    session->backoff = BACKOFF_MIN_MS;
    session->state = LAB_SESSION_OFFLINE;
}

uint32_t lab_session_step(struct lab_session *session) {
    uint64_t now = now_of(session);
    switch (session->state) {
    case LAB_SESSION_OFFLINE:
        if (now < session->connect_at) {
            break;
        }
        connect(session);
        break;
    case LAB_SESSION_LINKING:
        if (session->link->state == LAB_LINK_OPEN) {
            if (lab_tls_start(session->tls) != LAB_TLS_DONE) {
                disconnect(session, session->tls->words);
                break;
            }
            enter(session, LAB_SESSION_HANDSHAKE, GREETING_MS);
            return 0;
        }
        break;
    case LAB_SESSION_HANDSHAKE:
        switch (lab_tls_handshake(session->tls)) {
        case LAB_TLS_MORE:
            return 0;
        case LAB_TLS_DONE:
            session->greeting_due = true;
            enter(session, LAB_SESSION_GREETING, GREETING_MS);
            return 0;
        case LAB_TLS_WAIT:
            break;
        case LAB_TLS_CLOSED:
            disconnect(session, "the gateway closed the connection in the TLS handshake");
            break;
        case LAB_TLS_FAILED:
            disconnect(session, session->tls->words);
            break;
        }
        break;
    case LAB_SESSION_GREETING:
    case LAB_SESSION_PENDING:
    case LAB_SESSION_CONNECTED:
        exchange(session);
        break;
    }
    check_link(session);
    if (session->resetting) {
        check_reset(session);
    }
    now = now_of(session);
    uint32_t wait = UINT32_MAX;
    if (session->state == LAB_SESSION_OFFLINE) {
        wait = until(session->connect_at, now);
    } else if (session->give_up_at != 0) {
        wait = until(session->give_up_at, now);
    }
    if (session->state == LAB_SESSION_CONNECTED && !sending(session)) {
        wait = sooner(wait, until(session->heartbeat_at, now));
    }
    if (session->resetting) {
        wait = sooner(wait, until(session->reset_at, now));
    }
    return wait;
}
