# The CBOR codec: generated from lab/wire/wire.cddl by zcbor, and zcbor's C runtime. LAB_ZCBOR is the Python package.

set(types envelope hello ready heartbeat ack app-status-changed log-line event call-result command-result app-use app-list
    welcome pending goodbye heartbeat-ack configure deploy-begin deploy-chunk deploy-end stop call command list-apps reset
    remove identity manifest package)
set(generated ${CMAKE_CURRENT_BINARY_DIR}/wire)
set(outputs wire_decode.c wire_decode.h wire_encode.c wire_encode.h wire_types.h)
list(TRANSFORM outputs PREPEND ${generated}/)

file(MAKE_DIRECTORY ${generated})
# 8: how many keys of a later version a reader skips (the schema's `* uint => any`).
add_custom_command(
  OUTPUT ${outputs}
  COMMAND ${LAB_PYTHON} -c "from zcbor import main; main()" code --cddl ${LAB_CDDL} --encode --decode --default-max-qty 8
          --output-c ${generated}/wire.c --output-h ${generated}/wire.h --entry-types ${types} > ${generated}/zcbor.log
  DEPENDS ${LAB_CDDL}
  COMMENT "Generating the CBOR codec from wire.cddl"
  VERBATIM)

add_library(wire STATIC
  ${outputs} ${LAB_ZCBOR}/src/zcbor_common.c ${LAB_ZCBOR}/src/zcbor_decode.c ${LAB_ZCBOR}/src/zcbor_encode.c)
target_include_directories(wire SYSTEM PUBLIC ${generated} ${LAB_ZCBOR}/include)
target_compile_definitions(wire PUBLIC ZCBOR_CANONICAL ZCBOR_STOP_ON_ERROR)
target_compile_options(wire PRIVATE ${LAB_OPTIMIZE_SIZE})
