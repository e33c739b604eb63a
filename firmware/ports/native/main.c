#define _GNU_SOURCE /* dl_iterate_phdr */
#include <elf.h>
#include <fcntl.h>
#include <getopt.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/core.h"
#include "native.h"

#define POOL_DEFAULT (256u * 1024u)
#define FLASH_SIZE   (2048u * 1024u)

static const char usage[] =
    "lab-firmware: the device's firmware as a Linux process\n"
    "  --console FD --link FD [--simbus FD]  open descriptors of its streams\n"
    "  --identity FILE   what the device is provisioned with (docs/protocol.md, section 4)\n"
    "  --flash FILE      what survives a power cut; made if it is not there\n"
    "  --pool BYTES      memory for apps (default 262144)\n"
    "  --board NAME      what it calls itself (default native)\n"
    "It ends when a stream is closed at the other end. SIGHUP is its reset button. --warm is its own.\n";

static struct lab_core core;
static struct lab_port port;
static uint8_t identity[LAB_IDENTITY_MAX];

_Noreturn static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int number(const char *text) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 0 || value > INT32_MAX) {
        fprintf(stderr, "lab-firmware: %s is no number\n", text);
        exit(2);
    }
    return (int)value;
}

static int stream(const char *text) {
    int fd = number(text);
    if (fcntl(fd, F_GETFL) < 0) {
        fprintf(stderr, "lab-firmware: descriptor %d is not open\n", fd);
        exit(2);
    }
    return fd;
}

static size_t read_identity(const char *file) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, identity, sizeof identity);
    if (size < 0) {
        fail(file);
    }
    close(fd);
    return (size_t)size;
}

static int open_flash(const char *file) {
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat state;
    if (fd < 0 || fstat(fd, &state) != 0) {
        fail(file);
    }
    /* New flash need not be blank: a file with a hole instead of contents takes no room. */
    if (state.st_size < FLASH_SIZE && ftruncate(fd, FLASH_SIZE) != 0) {
        fail(file);
    }
    return fd;
}

/* Finds the GNU build-id note of the program itself, which comes first. */
static int find_build_id(struct dl_phdr_info *info, size_t size, void *out) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_NOTE) {
            continue;
        }
        const uint8_t *at = (const uint8_t *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        const uint8_t *end = at + info->dlpi_phdr[i].p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const uint8_t *name = at + sizeof *note;
            const uint8_t *words = name + ((note->n_namesz + 3u) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz == 20 && memcmp(name, "GNU", 4) == 0) {
                *(const uint8_t **)out = words;
                return 1;
            }
            at = words + ((note->n_descsz + 3u) & ~3u);
        }
    }
    return 1;
}

int main(int argc, char **argv) {
    enum option_name { CONSOLE, LINK, SIMBUS, IDENTITY, FLASH, POOL, BOARD, WARM, HELP };
    static const struct option options[] = {
        {"console", required_argument, NULL, CONSOLE},
        {"link", required_argument, NULL, LINK},
        {"simbus", required_argument, NULL, SIMBUS},
        {"identity", required_argument, NULL, IDENTITY},
        {"flash", required_argument, NULL, FLASH},
        {"pool", required_argument, NULL, POOL},
        {"board", required_argument, NULL, BOARD},
        {"warm", required_argument, NULL, WARM},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int warm = -1;
    port.board = "native";
    port.pool_size = POOL_DEFAULT;
    port.identity = identity;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case CONSOLE:
            board.streams[LAB_CONSOLE] = stream(optarg);
            break;
        case LINK:
            board.streams[LAB_LINK] = stream(optarg);
            break;
        case SIMBUS:
            board.streams[LAB_SIMBUS] = stream(optarg);
            break;
        case IDENTITY:
            port.identity_size = read_identity(optarg);
            break;
        case FLASH:
            board.flash = open_flash(optarg);
            break;
        case POOL:
            port.pool_size = (size_t)number(optarg);
            break;
        case BOARD:
            port.board = optarg;
            break;
        case WARM:
            warm = stream(optarg);
            break;
        case HELP:
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc || board.streams[LAB_CONSOLE] < 0 || board.streams[LAB_LINK] < 0) {
        fputs(usage, stderr);
        return 2;
    }
    port.pool = mmap(NULL, port.pool_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (port.pool == MAP_FAILED) {
        fail("lab-firmware: the pool for apps");
    }
    dl_iterate_phdr(find_build_id, &port.build_id);
    if (port.build_id == NULL) {
        fputs("lab-firmware: built without --build-id=sha1\n", stderr);
        return 1;
    }
    port.boot = reset_record(warm);
    reset_arm(argc, argv);
    board_functions(&port);
    lab_boot_start(port.boot, LAB_BOOT_UNKNOWN);
    lab_core_init(&core, &port);
    lab_core_run(&core);
}
