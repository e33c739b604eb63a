/* What apps ask for most of the C library; compilers make single instructions of the first three. */
#ifndef LAB_STRING_H
#define LAB_STRING_H

#include <stddef.h>

static inline void *memcpy(void *to, const void *from, size_t size) {
    return __builtin_memcpy(to, from, size);
}

static inline void *memmove(void *to, const void *from, size_t size) {
    return __builtin_memmove(to, from, size);
}

static inline void *memset(void *to, int byte, size_t size) {
    return __builtin_memset(to, byte, size);
}

static inline int memcmp(const void *left, const void *right, size_t size) {
    const unsigned char *a = (const unsigned char *)left;
    const unsigned char *b = (const unsigned char *)right;
    for (; size > 0; a++, b++, size--) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}

static inline size_t strlen(const char *text) {
    size_t size = 0;
    while (text[size]) {
        size++;
    }
    return size;
}

static inline int strcmp(const char *left, const char *right) {
    while (*left && *left == *right) {
        left++;
        right++;
    }
    return (unsigned char)*left - (unsigned char)*right;
}

#endif
