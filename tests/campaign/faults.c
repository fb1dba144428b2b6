/* Loaded first into a process, makes one of its calls on files below a folder fail, or all from that one on.

   FAULT_CALL     write, close, fsync, rename, mkdir, unlink or open (of new files); write+close fails in both
   FAULT_AT       which of them, from 1 on, in each process
   FAULT_ERRNO    the error's number
   FAULT_STAYS    1: all that follow fail too
   FAULT_UNDER    the folder; other files are left alone
   FAULT_MARK     a file that is made when a call fails
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    const char *under = getenv("FAULT_UNDER");
    return under != NULL && strncmp(path, under, strlen(under)) == 0;
}

static int place_of(int descriptor, const char *name, char *path) {
    char link[64], folder[PATH_MAX];
    ssize_t length;
    if (name != NULL && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return 1;
    }
    if (descriptor == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, folder, sizeof folder - 1);
    if (length < 0)
        return 0;
    folder[length] = 0;
    if (name == NULL)
        snprintf(path, PATH_MAX, "%s", folder);
    else if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return 0;
    return 1;
}

/* Whether this call is to fail; then errno is set. */
static int fails(const char *call, int descriptor, const char *name) {
    const char *wanted = getenv("FAULT_CALL"), *at = getenv("FAULT_AT"), *number = getenv("FAULT_ERRNO");
    const char *stays = getenv("FAULT_STAYS"), *mark = getenv("FAULT_MARK");
    char path[PATH_MAX];
    int saved = errno;
    long count;
    if (wanted == NULL || at == NULL || number == NULL || strstr(wanted, call) == NULL)
        return 0;
    if (!place_of(descriptor, name, path) || !below(path)) {
        errno = saved;
        return 0;
    }
    count = atomic_fetch_add(&calls, 1) + 1;
    if (count < atol(at) || (count > atol(at) && (stays == NULL || stays[0] != '1'))) {
        errno = saved;
        return 0;
    }
    if (mark != NULL) {
        long made = syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT, 0644);
        if (made >= 0)
            syscall(SYS_close, made);
    }
    errno = atoi(number);
    return 1;
}

ssize_t write(int descriptor, const void *data, size_t size) {
    return fails("write", descriptor, NULL) ? -1 : NEXT(write)(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
    return fails("write", descriptor, NULL) ? -1 : NEXT(writev)(descriptor, parts, number);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    return fails("write", descriptor, NULL) ? -1 : NEXT(pwrite64)(descriptor, data, size, offset);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t size) {
    ssize_t (*next)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
    return fails("write", to, NULL) ? -1 : next(to, from, offset, size);
}

ssize_t copy_file_range(int from, off64_t *in, int to, off64_t *out, size_t size, unsigned flags) {
    ssize_t (*next)(int, off64_t *, int, off64_t *, size_t, unsigned) = dlsym(RTLD_NEXT, "copy_file_range");
    return fails("write", to, NULL) ? -1 : next(from, in, to, out, size, flags);
}

int close(int descriptor) { /* the descriptor is gone, as on Linux */
    int failed = fails("close", descriptor, NULL), number = errno;
    int result = NEXT(close)(descriptor);
    if (!failed)
        return result;
    errno = number;
    return -1;
}

int fsync(int descriptor) { return fails("fsync", descriptor, NULL) ? -1 : NEXT(fsync)(descriptor); }

int fdatasync(int descriptor) { return fails("fsync", descriptor, NULL) ? -1 : NEXT(fdatasync)(descriptor); }

int rename(const char *from, const char *to) {
    return fails("rename", AT_FDCWD, to) ? -1 : NEXT(rename)(from, to);
}

int renameat(int from, const char *old, int to, const char *new) {
    return fails("rename", to, new) ? -1 : NEXT(renameat)(from, old, to, new);
}

int mkdir(const char *path, mode_t mode) { return fails("mkdir", AT_FDCWD, path) ? -1 : NEXT(mkdir)(path, mode); }

int mkdirat(int folder, const char *path, mode_t mode) {
    return fails("mkdir", folder, path) ? -1 : NEXT(mkdirat)(folder, path, mode);
}

int unlink(const char *path) { return fails("unlink", AT_FDCWD, path) ? -1 : NEXT(unlink)(path); }

int rmdir(const char *path) { return fails("unlink", AT_FDCWD, path) ? -1 : NEXT(rmdir)(path); }

int unlinkat(int folder, const char *path, int flags) {
    return fails("unlink", folder, path) ? -1 : NEXT(unlinkat)(folder, path, flags);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);                                                 \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = va_arg(more, mode_t);                                                                            \
        va_end(more);                                                                                                  \
        if ((flags & O_CREAT) && fails("open", AT_FDCWD, path))                                                        \
            return -1;                                                                                                 \
        return next(path, flags, mode);                                                                                \
    }
OPEN(open)
OPEN(open64)
