/* What WAMR wants to know of its platform: one thread, no files, no system heap. Included by WAMR's own
 * headers. */
#ifndef _PLATFORM_INTERNAL_H
#define _PLATFORM_INTERNAL_H

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* WAMR's headers name these types even in a build without threads and files. */
typedef int korp_tid;
typedef int korp_thread;
typedef int korp_mutex;
typedef int korp_cond;
typedef int korp_rwlock;
typedef int korp_sem;
typedef int os_file_handle;
typedef int os_raw_file_handle;
typedef int os_poll_file_handle;
typedef int os_dir_stream;
typedef int os_timespec;
typedef unsigned os_nfds_t;

#define BH_HAS_DLFCN 0

static inline os_file_handle os_get_invalid_handle(void) {
    return -1;
}

/* The size of a linear memory is rounded up to this; 8 is the alignment WAMR asks of it. */
static inline int os_getpagesize(void) {
    return 8;
}

#endif
