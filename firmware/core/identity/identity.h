/* What makes a device that device: the provisioning blob of docs/protocol.md, section 4. */
#ifndef LAB_IDENTITY_H
#define LAB_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_IDENTITY_MAX     4096u
#define LAB_NAME_MAX         32u
#define LAB_GATEWAY_NAME_MAX 64u
#define LAB_PUBLISHERS_MAX   4u

/* Bytes inside the blob. */
struct lab_span {
    const uint8_t *bytes;
    size_t size;
};

struct lab_identity {
    char device[LAB_NAME_MAX + 1];
    char gateway[LAB_GATEWAY_NAME_MAX + 1];
    struct lab_span ca;                             /* certificate, DER */
    struct lab_span certificate;                    /* the device's, DER */
    struct lab_span key;                            /* SEC 1 DER */
    struct lab_span seed;                           /* 32 bytes */
    uint64_t unix_s;                                /* when it was provisioned */
    struct lab_span publishers[LAB_PUBLISHERS_MAX]; /* P-256, uncompressed points: whose packages it takes */
    size_t publisher_count;
    struct lab_span vendor;
    struct lab_span board_class;
    bool development; /* it takes unsigned modules too */
};

/* Reads the blob, which must stay where it is: the spans point into it. Returns NULL, or in words what is
 * wrong. */
const char *lab_identity_parse(struct lab_identity *identity, const uint8_t *blob, size_t size);

#endif
