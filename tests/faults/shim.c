/* Preloaded into a command under test: counts its steps on files below one folder, and at a given step kills the process
 * or lets the disk be full, as SQLite's tests do through their own file system layer. Java, SQLite, Faiss and torch write through
 * the same functions of the C library, so their steps count as well.
 *
 * A step: opening for writing, writing, renaming, removing, making a folder, truncating, syncing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NAP = -1, COUNT, KILL, TEAR, MOVE };  /* others are error numbers */

struct plan {
    long steps;  /* taken up to now, by all processes together */
    long at;     /* the step at which it happens, from 1; 0 for never */
    long mode;   /* COUNT; KILL before the step; TEAR: half of the write, then KILL; MOVE: the folder goes elsewhere, as if it were
                    deleted; NAP: half a second for others; ENOSPC: this and all later steps that need room fail; EROFS, EIO: this and all later steps fail */
    char root[PATH_MAX];
};

static struct plan *plan;

__attribute__((constructor)) static void begin(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED) plan = NULL;
}

/* Called by the fork server before a command begins; shared with the processes forked later. */
void faults_arm(const char *root, long at, long mode) {
    plan->steps = 0;
    plan->at = at;
    plan->mode = mode;
    strncpy(plan->root, root, sizeof plan->root - 1);
}

long faults_steps(void) { return plan->steps; }

static int below(const char *path) {
    size_t n = strlen(plan->root);
    return n && strncmp(path, plan->root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static int ours(const char *path) {
    if (!plan || !plan->root[0] || !path) return 0;
    if (path[0] == '/') return below(path);
    char cwd[PATH_MAX];
    return getcwd(cwd, sizeof cwd) && below(cwd);
}

static int ours_fd(int fd) {
    if (!plan || !plan->root[0] || fd < 3) return 0;
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return below(path);
}

static int ours_at(int dir, const char *path) {
    return (path && path[0] == '/') || dir == AT_FDCWD ? ours(path) : ours_fd(dir);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

enum { NOTHING, MAKES, WRITES };

static void move(void) {
    char gone[PATH_MAX + 8];
    snprintf(gone, sizeof gone, "%s.gone", plan->root);
    syscall(SYS_renameat2, AT_FDCWD, plan->root, AT_FDCWD, gone, 0);
}

/* Count a step, which may take up room; return 1 if it is to fail, 2 if half of it is to be done before the end. */
static int step(int makes) {
    long n = __sync_add_and_fetch(&plan->steps, 1);
    if (!plan->at || plan->mode == COUNT || n < plan->at) return 0;
    if (plan->mode > MOVE) {
        if (plan->mode == ENOSPC && makes == NOTHING) return 0;
        errno = plan->mode;
        return 1;
    }
    if (n > plan->at) return 0;
    if (plan->mode == MOVE) return move(), 0;
    if (plan->mode == NAP) return usleep(500000), 0;
    if (plan->mode == TEAR && makes == WRITES) return 2;
    die();
    return 0;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); va_list l; va_start(l, flags); mode_t m = va_arg(l, mode_t); va_end(l); \
        if (writes(flags) && ours(path) && step(flags & O_CREAT && access(path, F_OK) ? MAKES : NOTHING) == 1) return -1; \
        return real(path, flags, m); }
#define OPENAT(name) \
    int name(int dir, const char *path, int flags, ...) { \
        REAL(name); va_list l; va_start(l, flags); mode_t m = va_arg(l, mode_t); va_end(l); \
        if (writes(flags) && ours_at(dir, path) && step(flags & O_CREAT && faccessat(dir, path, F_OK, 0) ? MAKES : NOTHING) == 1) return -1; \
        return real(dir, path, flags, m); }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        if (strpbrk(mode, "wa+") && ours(path) && step(access(path, F_OK) ? MAKES : NOTHING) == 1) return NULL; \
        return real(path, mode); }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    if (ours_fd(fd)) {
        int what = step(WRITES);
        if (what == 1) return -1;
        if (what == 2) { real(fd, data, n / 2); die(); }
    }
    return real(fd, data, n);
}

#define PWRITE(name, offset) \
    ssize_t name(int fd, const void *data, size_t n, offset at) { \
        REAL(name); \
        if (ours_fd(fd)) { \
            int what = step(WRITES); \
            if (what == 1) return -1; \
            if (what == 2) { real(fd, data, n / 2, at); die(); } \
        } \
        return real(fd, data, n, at); }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev);
    if (ours_fd(fd)) {
        int what = step(WRITES);
        if (what == 1) return -1;
        if (what == 2) { real(fd, parts, n / 2); die(); }
    }
    return real(fd, parts, n);
}

size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
    REAL(fwrite);
    if (ours_fd(fileno(file))) {
        int what = step(WRITES);
        if (what == 1) return 0;
        if (what == 2) { real(data, size, n / 2, file); fflush(file); die(); }
    }
    return real(data, size, n, file);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t n) {
    REAL(sendfile);
    if (ours_fd(out) && step(MAKES) == 1) return -1;
    return real(out, in, offset, n);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t n, unsigned flags) {
    REAL(copy_file_range);
    if (ours_fd(out) && step(MAKES) == 1) return -1;
    return real(in, from, out, to, n, flags);
}

#define PATH1(name) int name(const char *path) { REAL(name); if (ours(path) && step(NOTHING) == 1) return -1; return real(path); }
PATH1(unlink)
PATH1(rmdir)

int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    if (ours_at(dir, path) && step(NOTHING) == 1) return -1;
    return real(dir, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    if (ours(path) && step(access(path, F_OK) ? MAKES : NOTHING) == 1) return -1;
    return real(path, mode);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    if (ours(to) && step(NOTHING) == 1) return -1;
    return real(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    if (ours_at(b, to) && step(NOTHING) == 1) return -1;
    return real(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(renameat2);
    if (ours_at(b, to) && step(NOTHING) == 1) return -1;
    return real(a, from, b, to, flags);
}

#define TRUNCATE(name, offset) int name(int fd, offset n) { REAL(name); if (ours_fd(fd) && step(NOTHING) == 1) return -1; return real(fd, n); }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) int name(int fd) { REAL(name); if (ours_fd(fd) && step(NOTHING) == 1) return -1; return real(fd); }
SYNC(fsync)
SYNC(fdatasync)
