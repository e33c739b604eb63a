/* TLS 1.3 client with mutual authentication over any byte pipe; never waits.
 *
 * docs/protocol.md, section 2. One instance a process: Mbed TLS keeps its heap, its clock and its PSA key
 * store in statics, and so does tls.c keep a pointer to the instance.
 */
#ifndef LAB_TLS_H
#define LAB_TLS_H

#include <stddef.h>
#include <stdint.h>

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "identity/identity.h"
#include "lab/port.h"
#include "random.h"

/* What Mbed TLS allocates from, buffers of one connection and certificates included. A handshake peaks at 17
 * KB with 32-bit pointers. Too little of it shows up as a certificate that is not trusted. */
#ifndef LAB_TLS_HEAP
#define LAB_TLS_HEAP (sizeof(void *) > 4 ? 40u * 1024u : 24u * 1024u)
#endif

#define LAB_TLS_WORDS_MAX 100u

/* The encrypted side. Both return how many bytes, 0 for "not now". */
struct lab_tls_pipe {
    void *context;
    size_t (*read)(void *context, uint8_t *bytes, size_t size);
    size_t (*write)(void *context, const uint8_t *bytes, size_t size);
};

enum lab_tls_status {
    LAB_TLS_DONE,   /* what was asked is done */
    LAB_TLS_MORE,   /* one step of several is done: call again when other work has had its turn */
    LAB_TLS_WAIT,   /* the pipe has to move first */
    LAB_TLS_CLOSED, /* the other side said so */
    LAB_TLS_FAILED, /* `words` says why */
};

struct lab_tls {
    const struct lab_port *port;
    struct lab_random random; /* whose memory is of the heap too */
    struct lab_tls_pipe pipe;
    uint64_t unix_ms_at_start;
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    char words[LAB_TLS_WORDS_MAX];
    _Alignas(8) uint8_t heap[LAB_TLS_HEAP];
};

/* Gives Mbed TLS its heap. Comes before any call of it, the random generator's included: there is no other
 * heap. */
void lab_tls_start_heap(struct lab_tls *tls);

/* Seeds the random generator, reads certificates and key, prepares everything a connection needs. Returns
 * NULL, or in words what is wrong. */
const char *lab_tls_init(struct lab_tls *tls, const struct lab_port *port,
                         const struct lab_identity *identity, struct lab_tls_pipe pipe);

/* Forgets the last connection and begins a new one; lab_tls_handshake() until it returns LAB_TLS_DONE comes
 * next. */
enum lab_tls_status lab_tls_start(struct lab_tls *tls);
enum lab_tls_status lab_tls_handshake(struct lab_tls *tls);

/* Both move at least one byte if they return LAB_TLS_DONE, and say in `*moved` how many. After LAB_TLS_WAIT a
 * write must be repeated with the same bytes. */
enum lab_tls_status lab_tls_read(struct lab_tls *tls, uint8_t *bytes, size_t size, size_t *moved);
enum lab_tls_status lab_tls_write(struct lab_tls *tls, const uint8_t *bytes, size_t size, size_t *moved);

/* Tells the other side that nothing more comes, if the pipe takes it now. */
void lab_tls_close(struct lab_tls *tls);

/* Sets the clock that certificates' dates are checked against. */
void lab_tls_set_time(struct lab_tls *tls, uint64_t unix_ms);

#endif
