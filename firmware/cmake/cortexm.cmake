# A Cortex-M board: the compiler's flags, the linker script from its memory map, and the code such ports share.
# The board's description has set LAB_CPU, LAB_FPU, LAB_{FLASH,RAM}_{BASE,SIZE}, LAB_IDENTITY, LAB_POOL_SIZE and
# LAB_STACK_SIZE.

set(cpu -mthumb -mcpu=${LAB_CPU})
if(LAB_FPU)
  list(APPEND cpu -mfpu=${LAB_FPU} -mfloat-abi=hard)
endif()
configure_file(ports/cortexm/sections.ld.in sections.ld @ONLY)

# No float in printf's formats: 6 KB of flash saved.
add_compile_options(${cpu} --specs=picolibc.specs -DPICOLIBC_INTEGER_PRINTF_SCANF -ffreestanding -fbuiltin)
add_link_options(
  ${cpu} --specs=picolibc.specs -DPICOLIBC_INTEGER_PRINTF_SCANF -nostartfiles
  -T${CMAKE_CURRENT_BINARY_DIR}/sections.ld -Wl,-z,noexecstack)
set(LAB_SHARED_PORT ports/cortexm)
