/* The values of `result-code` in wire.cddl. */
#ifndef LAB_APPS_RESULTS_H
#define LAB_APPS_RESULTS_H

enum lab_result {
    LAB_DONE = 0,
    LAB_MALFORMED = 1,
    LAB_UNKNOWN_KIND = 2,
    LAB_NO_SUCH_APP = 3,
    LAB_NO_SUCH_FUNCTION = 4,
    LAB_BAD_ARGUMENTS = 5,
    LAB_TOO_LARGE = 6,
    LAB_OUT_OF_MEMORY = 7,
    LAB_DIGEST_MISMATCH = 8,
    LAB_WRONG_OFFSET = 9,
    LAB_NOT_WASM = 10,
    LAB_IMPORT_REFUSED = 11,
    LAB_TRAP = 12,
    LAB_BUSY = 13,
    LAB_TOO_MANY_APPS = 14,
    LAB_BUDGET_EXCEEDED = 15,
    LAB_REFUSED = 16,
    LAB_IO_ERROR = 17,
};

#endif
