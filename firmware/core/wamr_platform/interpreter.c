/* WAMR's fast interpreter, as it comes, made to say what a call took.
 *
 * It counts a call's budget down in a local variable, which nobody sees when the call is over. Each time a
 * function returns, it also sets the current frame: here that writes the variable back to where it was read
 * from. Where the file sets the frame outside of the interpreter's loop, `instructions_left` is the constant
 * below.
 */
#include <limits.h>

#include "wasm_exec_env.h"

#include "interpreter.h"

enum { instructions_left = INT_MIN };

static inline void set_frame(WASMExecEnv *env, struct WASMInterpFrame *frame, int left) {
    if (left != INT_MIN) {
        env->instructions_to_execute = left;
    }
    wasm_exec_env_set_cur_frame(env, frame);
}

#define wasm_exec_env_set_cur_frame(env, frame) set_frame(env, frame, instructions_left)

#include "wasm_interp_fast.c"

int lab_wamr_instructions_left(const struct WASMExecEnv *env) {
    return env->instructions_to_execute;
}
