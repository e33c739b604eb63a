/* What WAMR counts and has no function for. */
#ifndef LAB_WAMR_INTERPRETER_H
#define LAB_WAMR_INTERPRETER_H

struct WASMExecEnv;

/* What the last call in `env` that returned left of wasm_runtime_set_instruction_count_limit(). */
int lab_wamr_instructions_left(const struct WASMExecEnv *env);

#endif
