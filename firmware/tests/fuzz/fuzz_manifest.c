/* An app's manifest: the contents of the custom section lab:manifest. */
#include "apps/contract.h"
#include "apps/manifest.h"
#include "cbor.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct lab_manifest manifest;
    char words[161] = "";
    enum lab_result result = lab_manifest_read(&manifest, data, size, words, sizeof words);
    PROMISE(memchr(words, '\0', sizeof words) != NULL);
    PROMISE((result == LAB_DONE) == (words[0] == '\0'));
    if (result == LAB_DONE) {
        PROMISE(lab_cbor_sound(data, size));
        PROMISE(manifest.present && manifest.natives >> (LAB_API_NATIVE_COUNT - 1) <= 1u);
    }
    for (unsigned address = 0; address < 256; address++) {
        (void)lab_manifest_allows_i2c(&manifest, (uint8_t)address);
    }
    return 0;
}
