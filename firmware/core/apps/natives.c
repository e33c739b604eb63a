#include "apps/natives.h"

#include <stdint.h>
#include <string.h>

#include <wasm_export.h>

#include "apps/apps.h"

static struct lab_apps *apps_of(wasm_exec_env_t env) {
    return wasm_runtime_get_function_attachment(env);
}

/* What is not in the contract's range ends the app, as an address outside its memory does. */
static void refuse(wasm_exec_env_t env, const char *words) {
    wasm_runtime_set_exception(wasm_runtime_get_module_inst(env), words);
}

static void log_write(wasm_exec_env_t env, uint32_t level, const char *text, uint32_t size) {
    if (level > LAB_LOG_ERROR) {
        refuse(env, "log.write: no such level");
        return;
    }
    lab_apps_log(apps_of(env), (enum lab_log_level)level, text, size);
}

static uint64_t clock_now(wasm_exec_env_t env) {
    const struct lab_port *port = apps_of(env)->port;
    return port->millis(port);
}

static void publish_send(wasm_exec_env_t env, const char *topic, uint32_t topic_size, const uint8_t *payload,
                         uint32_t payload_size) {
    if (topic_size < 1 || topic_size > LAB_TOPIC_MAX) {
        refuse(env, "publish.send: a topic has 1 to 64 bytes");
        return;
    }
    if (payload_size > LAB_PAYLOAD_MAX) {
        refuse(env, "publish.send: a payload has 1024 bytes at most");
        return;
    }
    lab_apps_publish(apps_of(env), topic, topic_size, payload, payload_size);
}

const struct lab_native lab_natives[LAB_NATIVE_COUNT] = {
    {"lab:device/clock@0.1.0", "now", clock_now, "()I"},
    {"lab:device/log@0.1.0", "write", log_write, "(i*~)"},
    {"lab:device/publish@0.1.0", "send", publish_send, "(*~*~)"},
};

static bool same(const char *word, const char *text, size_t size) {
    return strlen(word) == size && memcmp(word, text, size) == 0;
}

bool lab_native_exists(const char *module, size_t module_size, const char *name, size_t name_size) {
    for (size_t i = 0; i < LAB_NATIVE_COUNT; i++) {
        if (same(lab_natives[i].module, module, module_size) && same(lab_natives[i].name, name, name_size)) {
            return true;
        }
    }
    return false;
}
