#include "tls/tls.h"

#include <stdio.h>
#include <string.h>

#include <mbedtls/memory_buffer_alloc.h>
#include <mbedtls/platform_time.h>
#include <psa/crypto.h>

/* Mbed TLS's callbacks for time and randomness get no context. */
static struct lab_tls *active;

mbedtls_ms_time_t mbedtls_ms_time(void) {
    return (mbedtls_ms_time_t)active->port->millis(active->port);
}

static mbedtls_time_t unix_time(mbedtls_time_t *out) {
    uint64_t now = (active->unix_ms_at_start + active->port->millis(active->port)) / 1000u;
    if (out != NULL) {
        *out = (mbedtls_time_t)now;
    }
    return (mbedtls_time_t)now;
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context, uint8_t *output,
                                             size_t output_size, size_t *output_length) {
    (void)context;
    if (lab_random_bytes(&active->random, output, output_size) != 0) {
        return PSA_ERROR_INSUFFICIENT_ENTROPY;
    }
    *output_length = output_size;
    return PSA_SUCCESS;
}

static int pipe_write(void *context, const unsigned char *bytes, size_t size) {
    struct lab_tls *tls = context;
    size_t moved = tls->pipe.write(tls->pipe.context, bytes, size);
    return moved > 0 ? (int)moved : MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int pipe_read(void *context, unsigned char *bytes, size_t size) {
    struct lab_tls *tls = context;
    size_t moved = tls->pipe.read(tls->pipe.context, bytes, size);
    return moved > 0 ? (int)moved : MBEDTLS_ERR_SSL_WANT_READ;
}

static enum lab_tls_status failed(struct lab_tls *tls, int error) {
    static const struct {
        uint32_t flag;
        const char *words;
    } verdicts[] = {
        {MBEDTLS_X509_BADCERT_EXPIRED, "has expired"},
        {MBEDTLS_X509_BADCERT_FUTURE, "is not valid yet"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, "is for another name"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "is not from the lab's CA"},
        {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "is not a server's"},
    };
    if (error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || error == MBEDTLS_ERR_SSL_BAD_CERTIFICATE) {
        uint32_t flags = mbedtls_ssl_get_verify_result(&tls->ssl);
        const char *words = "was refused";
        for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
            if (flags & verdicts[i].flag) {
                words = verdicts[i].words;
                break;
            }
        }
        snprintf(tls->words, sizeof tls->words, "the gateway's certificate %s (0x%x)", words,
                 (unsigned)flags);
    } else if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        snprintf(tls->words, sizeof tls->words, "the gateway refused the connection with a TLS alert");
    } else if (error == MBEDTLS_ERR_SSL_ALLOC_FAILED) {
        snprintf(tls->words, sizeof tls->words, "TLS ran out of memory");
    } else {
        snprintf(tls->words, sizeof tls->words, "TLS error -0x%04x", (unsigned)-error);
    }
    return LAB_TLS_FAILED;
}

static enum lab_tls_status status_of(struct lab_tls *tls, int result) {
    switch (result) {
    case MBEDTLS_ERR_SSL_WANT_READ:
    case MBEDTLS_ERR_SSL_WANT_WRITE:
        return LAB_TLS_WAIT;
    case MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET:
        return LAB_TLS_MORE;
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return LAB_TLS_CLOSED;
    default:
        return result < 0 ? failed(tls, result) : LAB_TLS_DONE;
    }
}

void lab_tls_start_heap(struct lab_tls *tls) {
    mbedtls_memory_buffer_alloc_init(tls->heap, sizeof tls->heap);
}

const char *lab_tls_init(struct lab_tls *tls, const struct lab_port *port,
                         const struct lab_identity *identity, struct lab_tls_pipe pipe) {
    tls->port = port;

    tls->pipe = pipe;
    tls->words[0] = '\0';
    active = tls;
    mbedtls_platform_set_time(unix_time);
    lab_tls_set_time(tls, identity->unix_s * 1000u);

    mbedtls_ssl_init(&tls->ssl);
    mbedtls_ssl_config_init(&tls->config);
    mbedtls_x509_crt_init(&tls->ca);
    mbedtls_x509_crt_init(&tls->certificate);
    mbedtls_pk_init(&tls->key);

    if (lab_random_init(&tls->random, port, identity->seed.bytes) != 0) {
        return "the random generator does not start";
    }
    if (psa_crypto_init() != PSA_SUCCESS) {
        return "the cryptography library does not start";
    }
    if (mbedtls_x509_crt_parse_der_nocopy(&tls->ca, identity->ca.bytes, identity->ca.size) != 0) {
        return "the identity's CA certificate cannot be read";
    }
    if (mbedtls_x509_crt_parse_der_nocopy(&tls->certificate, identity->certificate.bytes,
                                          identity->certificate.size) != 0) {
        return "the identity's certificate cannot be read";
    }
    if (mbedtls_pk_parse_key(&tls->key, identity->key.bytes, identity->key.size, NULL, 0, lab_random_bytes,
                             &tls->random) != 0) {
        return "the identity's private key cannot be read";
    }
    if (mbedtls_pk_check_pair(&tls->certificate.pk, &tls->key, lab_random_bytes, &tls->random) != 0) {
        return "the identity's private key does not belong to its certificate";
    }
    if (mbedtls_ssl_config_defaults(&tls->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        return "TLS cannot be set up";
    }
    mbedtls_ssl_conf_min_tls_version(&tls->config, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_authmode(&tls->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&tls->config, &tls->ca, NULL);
    mbedtls_ssl_conf_rng(&tls->config, lab_random_bytes, &tls->random);
    /* One set of buffers for all connections to come: a fragmented heap cannot fail the next one. */
    if (mbedtls_ssl_conf_own_cert(&tls->config, &tls->certificate, &tls->key) != 0 ||
        mbedtls_ssl_setup(&tls->ssl, &tls->config) != 0 ||
        mbedtls_ssl_set_hostname(&tls->ssl, identity->gateway) != 0) {
        return "TLS has too little memory";
    }
    mbedtls_ssl_set_bio(&tls->ssl, tls, pipe_write, pipe_read, NULL);
    return NULL;
}

enum lab_tls_status lab_tls_start(struct lab_tls *tls) {
    return status_of(tls, mbedtls_ssl_session_reset(&tls->ssl));
}

enum lab_tls_status lab_tls_handshake(struct lab_tls *tls) {
    enum lab_tls_status status = status_of(tls, mbedtls_ssl_handshake_step(&tls->ssl));
    if (status == LAB_TLS_DONE && !mbedtls_ssl_is_handshake_over(&tls->ssl)) {
        return LAB_TLS_MORE;
    }
    return status;
}

enum lab_tls_status lab_tls_read(struct lab_tls *tls, uint8_t *bytes, size_t size, size_t *moved) {
    int result = mbedtls_ssl_read(&tls->ssl, bytes, size);
    *moved = result > 0 ? (size_t)result : 0;
    return result == 0 ? LAB_TLS_CLOSED : status_of(tls, result);
}

enum lab_tls_status lab_tls_write(struct lab_tls *tls, const uint8_t *bytes, size_t size, size_t *moved) {
    int result = mbedtls_ssl_write(&tls->ssl, bytes, size);
    *moved = result > 0 ? (size_t)result : 0;
    return status_of(tls, result);
}

void lab_tls_close(struct lab_tls *tls) {
    (void)mbedtls_ssl_close_notify(&tls->ssl);
}

void lab_tls_set_time(struct lab_tls *tls, uint64_t unix_ms) {
    uint64_t uptime = tls->port->millis(tls->port);
    tls->unix_ms_at_start = unix_ms > uptime ? unix_ms - uptime : 0;
}
