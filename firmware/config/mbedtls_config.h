/* Mbed TLS 3.6 for the device: a TLS 1.3 client with mutual authentication, P-256, ECDSA with SHA-256,
 * ChaCha20-Poly1305 or AES-128-GCM.
 *
 * docs/protocol.md, section 2, is what it implements. Everything that is not needed for it is off.
 */
#ifndef LAB_MBEDTLS_CONFIG_H
#define LAB_MBEDTLS_CONFIG_H

/* ---- Platform. Heap, clock and random generator are the core's; there is no operating system underneath. */
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_MEMORY_BUFFER_ALLOC_C
#define MBEDTLS_MEMORY_ALIGN_MULTIPLE 8
/* No malloc, exit or time of the C library, not even as the value until the core has set another. */
#define MBEDTLS_PLATFORM_NO_STD_FUNCTIONS
#define MBEDTLS_PLATFORM_SNPRINTF_MACRO     snprintf
#define MBEDTLS_PLATFORM_PRINTF_MACRO       printf
#define MBEDTLS_PLATFORM_FPRINTF_MACRO      fprintf
#define MBEDTLS_PLATFORM_EXIT_MACRO(status) __builtin_trap() /* a heap that is not whole any more */
#define MBEDTLS_HAVE_ASM

/* Without HAVE_TIME_DATE the validity dates of certificates are not looked at. The core keeps the time: from
 * the identity at first, from the gateway's `welcome` later. */
#define MBEDTLS_HAVE_TIME
#define MBEDTLS_HAVE_TIME_DATE
#define MBEDTLS_PLATFORM_MS_TIME_ALT
#define MBEDTLS_PLATFORM_TIME_ALT

/* mbedtls_psa_external_get_random() is the core's: most boards have no entropy source that PSA could draw on.
 */
#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
#define MBEDTLS_HMAC_DRBG_C
#define MBEDTLS_PSA_KEY_SLOT_COUNT 8
#define MBEDTLS_USE_PSA_CRYPTO

/* ---- Algorithms: psa_config.h names them. Here is how they are made, and what the core uses without PSA. */
#define MBEDTLS_PSA_CRYPTO_CONFIG
#define MBEDTLS_PSA_CRYPTO_CONFIG_FILE "psa_config.h"
#define MBEDTLS_AES_ROM_TABLES         /* 2.3 KB of flash instead of 8.5 KB of RAM */
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_AES_ONLY_128_BIT_KEY_LENGTH
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT /* GCM only ever encrypts blocks */
/* p256-m, the small alternative, saves 14 KB of flash; QEMU took a quarter more processor time to connect
 * with it. */
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_SHA256_C
#define MBEDTLS_MD_C

/* ---- Certificates and keys, DER only */
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_OID_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_REMOVE_INFO

/* ---- TLS */
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE /* OpenSSL sends a ChangeCipherSpec record */
#define MBEDTLS_SSL_SERVER_NAME_INDICATION
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
/* A record holds at most 4096 bytes of plaintext: one message with its length prefix and TLS 1.3's inner
 * type. */
#define MBEDTLS_SSL_IN_CONTENT_LEN  4352
#define MBEDTLS_SSL_OUT_CONTENT_LEN 2048

#endif
