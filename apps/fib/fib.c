/* Fibonacci numbers the slow way: something to compute on the device. `lab call ID fib fib 20` */
#include <stdint.h>

__attribute__((export_name("fib"))) int32_t fib(int32_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
