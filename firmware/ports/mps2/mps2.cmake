include(cmake/cortexm.cmake)
add_compile_definitions(LAB_PSRAM_BASE=${LAB_PSRAM_BASE})
