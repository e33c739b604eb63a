#include "apps/inspect.h"

#include <stdio.h>
#include <string.h>

#include "apps/contract.h"

/* WebAssembly core specification 2.0, section 5.5: binary format of modules. */
#define SECTION_CUSTOM 0u
#define SECTION_IMPORT 2u
#define SECTION_EXPORT 7u
#define SECTION_START  8u

#define HEADER_SIZE 8u

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* read past the end or a number too long; everything read since is 0 or empty */
};

static uint8_t get_byte(struct cursor *cursor) {
    if (cursor->at == cursor->end) {
        cursor->bad = true;
        return 0;
    }
    return *cursor->at++;
}

/* LEB128, section 5.2.2. */
static uint32_t get_u32(struct cursor *cursor) {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = get_byte(cursor);
        value |= (uint32_t)(byte & 0x7fu) << shift;
        if (!(byte & 0x80u)) {
            return value;
        }
    }
    cursor->bad = true;
    return 0;
}

static struct cursor get_part(struct cursor *cursor) {
    uint32_t size = get_u32(cursor);
    if (cursor->bad || size > (size_t)(cursor->end - cursor->at)) {
        cursor->bad = true;
        return (struct cursor){cursor->end, cursor->end, true};
    }
    struct cursor part = {cursor->at, cursor->at + size, false};
    cursor->at += size;
    return part;
}

static void skip_limits(struct cursor *cursor) {
    uint8_t flags = get_byte(cursor);
    get_u32(cursor);
    if (flags & 1u) {
        get_u32(cursor);
    }
}

/* Skips an import's description; returns its kind: 0 is a function. */
static uint8_t skip_description(struct cursor *cursor) {
    uint8_t kind = get_byte(cursor);
    switch (kind) {
    case 0: /* function */
        get_u32(cursor);
        break;
    case 1: /* table */
        get_byte(cursor);
        skip_limits(cursor);
        break;
    case 2: /* memory */
        skip_limits(cursor);
        break;
    case 3: /* global */
        get_byte(cursor);
        get_byte(cursor);
        break;
    default:
        cursor->bad = true;
        break;
    }
    return kind;
}

static int length(const struct cursor *text, int most) {
    ptrdiff_t size = text->end - text->at;
    return size < most ? (int)size : most;
}

static bool same(struct cursor text, const char *word) {
    size_t size = (size_t)(text.end - text.at);
    return strlen(word) == size && memcmp(word, text.at, size) == 0;
}

/* The index in lab_api_natives, LAB_API_NATIVE_COUNT if the contract has no such function. */
static size_t find_native(struct cursor module, struct cursor name) {
    size_t i = 0;
    while (i < LAB_API_NATIVE_COUNT &&
           (!same(module, lab_api_natives[i].module) || !same(name, lab_api_natives[i].name))) {
        i++;
    }
    return i;
}

static enum lab_result check_imports(struct cursor section, const struct lab_manifest *manifest, char *words,
                                     size_t room) {
    for (uint32_t left = get_u32(&section); left > 0; left--) {
        struct cursor module = get_part(&section);
        struct cursor name = get_part(&section);
        uint8_t kind = skip_description(&section);
        if (section.bad) {
            snprintf(words, room, "the import section is damaged");
            return LAB_NOT_WASM;
        }
        size_t native = kind == 0 ? find_native(module, name) : LAB_API_NATIVE_COUNT;
        if (native == LAB_API_NATIVE_COUNT) {
            snprintf(words, room,
                     "import %.*s.%.*s is outside the contract (wit/device.wit says what there is)",
                     length(&module, 64), (const char *)module.at, length(&name, 48), (const char *)name.at);
            return LAB_IMPORT_REFUSED;
        }
        if (!lab_manifest_allows_native(manifest, native)) {
            snprintf(words, room, "import %s.%s is not allowed: %s", lab_api_natives[native].module,
                     lab_api_natives[native].name,
                     manifest->present ? "its manifest does not list the interface"
                                       : "the module has no manifest (compile it with an app.toml)");
            return LAB_IMPORT_REFUSED;
        }
    }
    return LAB_DONE;
}

/* Functions the runtime would call while it instantiates, where no instruction budget holds. */
static enum lab_result check_exports(struct cursor section, char *words, size_t room) {
    static const char *const automatic[] = {"__wasm_call_ctors", "__post_instantiate"};
    for (uint32_t left = get_u32(&section); left > 0; left--) {
        struct cursor name = get_part(&section);
        get_byte(&section);
        get_u32(&section);
        if (section.bad) {
            snprintf(words, room, "the export section is damaged");
            return LAB_NOT_WASM;
        }
        for (size_t i = 0; i < sizeof automatic / sizeof *automatic; i++) {
            if (same(name, automatic[i])) {
                snprintf(words, room, "export %s would run without a budget: export _initialize instead",
                         automatic[i]);
                return LAB_REFUSED;
            }
        }
    }
    return LAB_DONE;
}

/* The contents of the module's manifest; empty, at NULL, if it has none. A module that is cut short is found
 * out later. */
static struct cursor find_manifest(struct cursor module) {
    while (module.at < module.end && !module.bad) {
        uint8_t id = get_byte(&module);
        struct cursor section = get_part(&module);
        if (id == SECTION_CUSTOM && same(get_part(&section), LAB_MANIFEST_SECTION)) {
            return section;
        }
    }
    return (struct cursor){0};
}

static enum lab_result check_header(const uint8_t *bytes, size_t size, char *words, size_t room) {
    static const uint8_t magic[4] = {0, 'a', 's', 'm'};
    if (size < HEADER_SIZE || memcmp(bytes, magic, sizeof magic) != 0) {
        snprintf(words, room, "not a WebAssembly module");
        return LAB_NOT_WASM;
    }
    if (bytes[6] != 0) {
        snprintf(words, room, "a WebAssembly component: devices run core modules");
        return LAB_NOT_WASM;
    }
    if (bytes[4] != 1 || bytes[5] != 0 || bytes[7] != 0) {
        snprintf(words, room, "WebAssembly version %u: devices run version 1", bytes[4] | bytes[5] << 8);
        return LAB_NOT_WASM;
    }
    return LAB_DONE;
}

enum lab_result lab_module_check(const uint8_t *bytes, size_t size, const struct lab_manifest *manifest,
                                 char *words, size_t room) {
    enum lab_result result = check_header(bytes, size, words, room);
    if (result != LAB_DONE) {
        return result;
    }
    struct cursor module = {bytes + HEADER_SIZE, bytes + size, false};
    while (module.at < module.end) {
        uint8_t id = get_byte(&module);
        struct cursor section = get_part(&module);
        if (module.bad) {
            snprintf(words, room, "the module is cut short");
            return LAB_NOT_WASM;
        }
        if (id == SECTION_IMPORT) {
            result = check_imports(section, manifest, words, room);
        } else if (id == SECTION_EXPORT) {
            result = check_exports(section, words, room);
        } else if (id == SECTION_START) {
            snprintf(words, room,
                     "its start function would run without a budget: export _initialize instead");
            result = LAB_REFUSED;
        }
        if (result != LAB_DONE) {
            return result;
        }
    }
    return LAB_DONE;
}

enum lab_result lab_module_inspect(const uint8_t *bytes, size_t size, struct lab_manifest *manifest,
                                   char *words, size_t room) {
    enum lab_result result = check_header(bytes, size, words, room);
    if (result != LAB_DONE) {
        return result;
    }
    struct cursor module = {bytes + HEADER_SIZE, bytes + size, false};
    struct cursor section = find_manifest(module);
    result = lab_manifest_read(manifest, section.at, (size_t)(section.end - section.at), words, room);
    return result != LAB_DONE ? result : lab_module_check(bytes, size, manifest, words, room);
}
