# WAMR's fast interpreter as one static library. LAB_WAMR is its folder.

set(core ${LAB_WAMR}/core)
set(platform ${CMAKE_CURRENT_SOURCE_DIR}/core/wamr_platform)

if(CMAKE_SYSTEM_PROCESSOR STREQUAL "arm" AND LAB_FPU)
  set(call invokeNative_thumb_vfp.s) # floats travel in FPU registers
  set(target THUMB_VFP)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "arm")
  set(call invokeNative_thumb.s)
  set(target THUMB)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(call invokeNative_aarch64.s)
  set(target AARCH64)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "riscv")
  set(call invokeNative_riscv.S)
  set(target RISCV32_ILP32)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "xtensa")
  set(call invokeNative_xtensa.s)
  set(target XTENSA)
else()
  set(call invokeNative_em64.s)
  set(target X86_64)
endif()

file(GLOB sources ${core}/iwasm/common/*.c ${core}/shared/utils/*.c ${core}/shared/mem-alloc/ems/*.c)
list(FILTER sources EXCLUDE REGEX "wasm_application|wasm_blocking_op|wasm_c_api|runtime_timer|bh_queue|bh_log")

add_library(wamr STATIC
  ${sources}
  ${core}/iwasm/common/arch/${call}
  ${core}/iwasm/interpreter/wasm_loader.c # the full one: the mini loader validates nothing
  ${core}/iwasm/interpreter/wasm_runtime.c
  ${core}/shared/mem-alloc/mem_alloc.c
  ${platform}/interpreter.c # includes wasm_interp_fast.c
  ${platform}/platform.c)

target_include_directories(wamr SYSTEM
  PUBLIC ${core}/iwasm/include
  PRIVATE
    ${platform} ${core}/iwasm/common ${core}/iwasm/interpreter ${core}/shared/utils
    ${core}/shared/mem-alloc ${core}/shared/platform/include)

target_compile_definitions(wamr PRIVATE
  BUILD_TARGET_${target}
  BH_MALLOC=wasm_runtime_malloc
  BH_FREE=wasm_runtime_free
  BH_LOG=lab_wamr_log
  WASM_ENABLE_INTERP=1
  WASM_ENABLE_FAST_INTERP=1
  WASM_ENABLE_BULK_MEMORY=1
  WASM_ENABLE_BULK_MEMORY_OPT=1 # memory.copy and memory.fill: what compilers make of memcpy and memset
  WASM_ENABLE_REF_TYPES=1
  WASM_ENABLE_INSTRUCTION_METERING=1
  WASM_DISABLE_HW_BOUND_CHECK=1
  WASM_DISABLE_STACK_HW_BOUND_CHECK=1
  WASM_DISABLE_WRITE_GS_BASE=1)

# The interpreter is where the device spends its time; its dispatch loop gains a factor of two over -Os. The rest loads
# and links modules, and small is better there.
target_compile_options(wamr PRIVATE $<$<COMPILE_LANGUAGE:C>:${LAB_OPTIMIZE_SIZE}> -std=gnu99 -w)
set_source_files_properties(${platform}/interpreter.c PROPERTIES COMPILE_OPTIONS -O2)
# WAMR stores pointers unaligned where the processor allows it, and relies on wrapping arithmetic: ASan only.
if(LAB_SANITIZE)
  target_compile_options(wamr PRIVATE -fno-sanitize=undefined)
endif()
