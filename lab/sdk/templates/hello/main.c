/* Says hello, and that it is still there. */
#include "lab.h"

uint32_t init(void) {
    lab_log_write(LAB_LOG_LEVEL_INFO, "hello from WebAssembly");
    return 1000; /* ms until poll() is called, and between its calls */
}

void poll(void) {
    lab_log_write(LAB_LOG_LEVEL_INFO, "still here");
}
