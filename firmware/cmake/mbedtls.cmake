# Mbed TLS as one static library, configured by config/. LAB_MBEDTLS is its folder.

file(GLOB sources ${LAB_MBEDTLS}/library/*.c)

add_library(mbedtls STATIC ${sources})
target_include_directories(mbedtls SYSTEM PUBLIC ${LAB_MBEDTLS}/include config)
target_include_directories(mbedtls PRIVATE ${LAB_MBEDTLS}/library)
target_compile_definitions(mbedtls PUBLIC MBEDTLS_CONFIG_FILE="${CMAKE_CURRENT_SOURCE_DIR}/config/mbedtls_config.h")
target_compile_options(mbedtls PRIVATE ${LAB_OPTIMIZE_SIZE})
