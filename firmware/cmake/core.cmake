# The core as one static library, for firmware/ and for zephyr-app/ alike. Needs mbedtls, wamr and wire.

file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/core/*.c)
list(FILTER sources EXCLUDE REGEX "/wamr_platform/")
add_library(core STATIC ${sources})
target_include_directories(core PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/core/include PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/core)
target_compile_definitions(core PUBLIC LAB_VERSION="${LAB_VERSION}")
target_compile_options(core PRIVATE ${LAB_WARNINGS} ${LAB_OPTIMIZE_SIZE})
target_link_libraries(core PUBLIC mbedtls wamr wire)
