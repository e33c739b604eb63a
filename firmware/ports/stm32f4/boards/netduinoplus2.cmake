# Netduino Plus 2: an STM32F405RG (RM0090, section 2.3). All of it has to fit into 128 KB of RAM.

set(LAB_CPU cortex-m4)
set(LAB_FPU fpv4-sp-d16)
set(LAB_FLASH_BASE 0x08000000)
set(LAB_FLASH_SIZE 0x000ff000)
set(LAB_IDENTITY 0x080ff000)
set(LAB_RAM_BASE 0x20000000)
set(LAB_RAM_SIZE 0x00020000)
set(LAB_STACK_SIZE 7424)
set(LAB_POOL_SIZE 0xc000)
include(cmake/cortexm.cmake)
