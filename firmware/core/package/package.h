/* The signed half of a package (docs/protocol.md, section 5): what its publisher says of a module, and proof
 * that the publisher said it.
 *
 * An envelope is a COSE_Sign1 (RFC 9052, section 4.2) with ES256 (RFC 9053, section 2.1) in the one form that
 * the protocol describes, in deterministic encoding; anything else is refused. These functions take any
 * bytes. Results other than LAB_DONE come with `words`.
 */
#ifndef LAB_PACKAGE_H
#define LAB_PACKAGE_H

#include <stddef.h>
#include <stdint.h>

#include "apps/manifest.h"
#include "apps/results.h"
#include "identity/identity.h"

/* As in wire.cddl. */
#define LAB_ENVELOPE_MAX    1024u
#define LAB_APP_VERSION_MAX 24u
#define LAB_CLASSES_MAX     8u

/* What a package says; the spans point into its envelope. */
struct lab_package {
    struct lab_span name;
    struct lab_span version; /* for people */
    uint32_t sequence;       /* above 0 */
    struct lab_span vendor;
    struct lab_span classes[LAB_CLASSES_MAX];
    size_t class_count; /* 0: any of the vendor's */
    uint32_t size;      /* of the module */
    const uint8_t *digest;
    struct lab_manifest manifest;
    uint32_t trial_polls;
    uint32_t trial_ms;
};

/* Whether a publisher that the device knows has signed it: LAB_DONE or LAB_BAD_SIGNATURE. Takes about 130 ms
 * on a Cortex-M at 100 MHz. PSA must have been started. */
enum lab_result lab_package_verify(const struct lab_identity *identity, const uint8_t *envelope, size_t size,
                                   char *words, size_t room);

/* Reads what it says, signed or not: LAB_MALFORMED if it is not of the form. */
enum lab_result lab_package_read(struct lab_package *package, const uint8_t *envelope, size_t size,
                                 char *words, size_t room);

/* Whether it is for this vendor and class of device: LAB_DONE or LAB_WRONG_CLASS. */
enum lab_result lab_package_suits(const struct lab_package *package, const struct lab_identity *identity,
                                  char *words, size_t room);

#endif
