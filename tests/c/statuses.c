/* Every function, in every situation that it has a status for.
 *
 * A scenario makes a context in which something is wrong, and calls all functions, or those it
 * concerns. What each answered is printed as `observed NAME CODE`; the test that runs this program compares with
 * what the header says. Whatever a function answers, its outputs must have been set, and nothing
 * may crash. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

/* What the library gets instead of the system's calls: those of the C library, or failures. */
static volatile int syncs_fail, reads_fail, syncs_wait;
static int wait_for[2], waiting[2]; /* Pipes: a sync that waits is told to go on, and says so. */

static void wait_if_asked(void) {
    char byte = 'w';
    if (!syncs_wait) return;
    CHECK(write(waiting[1], &byte, 1) == 1 && read(wait_for[0], &byte, 1) == 1);
}

int fdatasync(int fd) {
    wait_if_asked();
    if (syncs_fail) return errno = EIO, -1;
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    wait_if_asked();
    if (syncs_fail) return errno = EIO, -1;
    return (int)syscall(SYS_fsync, fd);
}

ssize_t pread64(int fd, void* buffer, size_t len, off64_t offset) {
    if (reads_fail) return errno = EIO, -1;
    return syscall(SYS_pread64, fd, buffer, len, offset);
}

static int is_one_of(const char* name, const char* const* names) {
    for (; *names; names++)
        if (!strcmp(name, *names)) return 1;
    return 0;
}

/* Calls one function and prints its status. */
static int32_t observe(const struct call* call, const struct context* c) {
    int32_t status = call_and_check(call, c);
    printf("observed %s %s\n", call->name, syna_error_name(status));
    return status;
}

/* Calls all functions but these. */
static void observe_all(const struct context* c, const char* const* but) {
    for (int i = 0; i < CALL_COUNT; i++)
        if (!but || !is_one_of(calls[i].name, but)) observe(&calls[i], c);
}

static void observe_some(const struct context* c, const char* part) {
    for (int i = 0; i < CALL_COUNT; i++)
        if (strstr(calls[i].name, part)) observe(&calls[i], c);
}

static int32_t observe_one(const struct context* c, const char* name) {
    for (int i = 0; i < CALL_COUNT; i++)
        if (!strcmp(calls[i].name, name)) return observe(&calls[i], c);
    check_failed(__FILE__, __LINE__, name);
    return 0;
}

struct job {
    const struct context* c;
    const char* const* names;
    const char* part;
};

static void work(const struct job* job) {
    for (const char* const* name = job->names; name && *name; name++) observe_one(job->c, *name);
    if (job->part) observe_some(job->c, job->part);
}

/* Writes are system calls of the library's own, and fail where the kernel is told so: for good, in
 * the thread that says it. */
static void* work_without_room(void* job) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    work(job);
    return NULL;
}

static void without_room(const struct context* c, const char* const* names, const char* part) {
    struct job job = {.c = c, .names = names, .part = part};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work_without_room, &job) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void without_room_one(const struct context* c, const char* name) {
    const char* names[] = {name, NULL};
    without_room(c, names, NULL);
}

static char long_key[65537];

static void fill(struct context* c) {
    for (int i = 0; i < 100; i++) {
        CHECK(syna_put_float(c->path, "f", i) > 0);
        CHECK(syna_put_int(c->path, "i", i) > 0);
    }
    CHECK(syna_put_floats_batch(c->path, "f", reals, 100) > 0);
    CHECK(syna_put_ints_batch(c->path, "i", wholes, 100) > 0);
    CHECK(syna_put_text(c->path, "t", large_text) > 0);
    CHECK(syna_put_bytes(c->path, "b", c->bytes, c->bytes_len) > 0);
    CHECK(syna_put_null(c->path, "n") > 0);
    CHECK(syna_put_float(c->path, "f2", 1) > 0);
}

/* Opens the database under its path, and handles on it. */
static struct context open_all(const char* path, const struct syna_options* options) {
    struct context c = sound(path);
    CHECK_IS(syna_open_with_config(path, options), SYNA_SUCCESS);
    CHECK_IS(syna_db_open(path, options, &c.db), SYNA_SUCCESS);
    CHECK_IS(syna_series_open(c.db, "f", 1, &c.series), SYNA_SUCCESS);
    CHECK_IS(syna_series_open(c.db, "i", 1, &c.int_series), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_take(c.db, &c.snapshot), SYNA_SUCCESS);
    return c;
}

static void close_all(struct context* c) {
    syna_series_close(c->series);
    syna_series_close(c->int_series);
    syna_snapshot_release(c->snapshot);
    syna_db_close(c->db);
    syna_close(c->path);
}

static struct context made(const char* path) {
    struct context c = sound(path);
    CHECK_IS(syna_open_with_config(path, &os_options), SYNA_SUCCESS);
    fill(&c);
    struct context all = open_all(path, &os_options);
    CHECK_IS(syna_close(path), SYNA_SUCCESS);
    return all;
}

/* Things to be ended: they answer SUCCESS once. */
static void give_things_to_end(struct context* c) {
    size_t len;
    CHECK(syna_put_text(c->path, "short", "four") > 0 && syna_put_bytes(c->path, "raw", c->bytes, 4) > 0);
    c->free_text = syna_get_text(c->path, "short", &len);
    c->free_bytes = syna_get_bytes(c->path, "raw", &len);
    c->free_tensor = syna_get_history_tensor(c->path, "f", &c->free_len);
    CHECK(c->free_len == 200);
    c->free_ints = syna_get_history_tensor_int(c->path, "i", &len);
    c->free_keys = syna_keys(c->path, &c->free_keys_len);
    CHECK_IS(syna_db_open(c->path, &os_options, &c->close_db), SYNA_SUCCESS);
    CHECK_IS(syna_series_open(c->db, "f", 1, &c->close_series), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_take(c->db, &c->close_snapshot), SYNA_SUCCESS);
    CHECK_IS(syna_open_with_config("closed.syna", &os_options), SYNA_SUCCESS);
    c->close_path = "closed.syna";
}

/* What waits for others, or changes what the other functions find. */
static const char* const rewrites[] = {"syna_compact", "syna_optimize",    "syna_retain",
                                       "syna_db_compact", "syna_db_optimize", "syna_db_retain",
                                       "syna_delete", "syna_db_delete", NULL};

static void all_is_well(void) {
    struct context c = made("well.syna");
    give_things_to_end(&c);
    remove("copy.syna"), c.to = "copy.syna";
    for (int i = 0; i < CALL_COUNT; i++) {
        remove("copy.syna");
        /* Both deletions have a key of their own, put again by fill. */
        int32_t status = observe(&calls[i], &c);
        if (status != SYNA_SUCCESS) {
            fprintf(stderr, "%s: %s\n", calls[i].name, syna_last_error_message());
            check_failed(__FILE__, __LINE__, "all is well");
        }
        if (!strcmp(calls[i].name, "syna_compact") || !strcmp(calls[i].name, "syna_db_compact") ||
            !strcmp(calls[i].name, "syna_delete"))
            fill(&c);
    }
    /* Once more: what was ended is ended. */
    observe_some(&c, "_free_");
    observe_some(&c, "_close");
    observe_some(&c, "_release");
    CHECK(syna_exists(c.path, "absent") == 0);
    printf("observed syna_exists 0\nobserved syna_db_exists 0\nobserved syna_snapshot_exists 0\n");
    CHECK(syna_db_exists(c.db, "absent", 6) == 0 && syna_snapshot_exists(c.snapshot, "absent", 6) == 0);
    /* The opens of the calls themselves. */
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
    close_all(&c);
}

/* NULL for each pointer in turn. */
static void nulls(void) {
    struct context good = made("nulls.syna");
    struct context c;
#define WITHOUT(field) \
    do { \
        c = good; \
        c.field = NULL; \
        observe_all(&c, rewrites); \
    } while (0)
    WITHOUT(path);
    WITHOUT(new_path);
    WITHOUT(close_path);
    WITHOUT(from);
    WITHOUT(to);
    WITHOUT(pattern);
    WITHOUT(text);
    WITHOUT(bytes);
    WITHOUT(reals);
    WITHOUT(wholes);
    WITHOUT(stamps);
    WITHOUT(options);
    WITHOUT(db);
    WITHOUT(db_out);
    WITHOUT(series);
    WITHOUT(int_series);
    WITHOUT(series_out);
    WITHOUT(snapshot);
    WITHOUT(snapshot_out);
    WITHOUT(real);
    WITHOUT(whole);
    WITHOUT(len);
    WITHOUT(lengths);
    WITHOUT(times);
    WITHOUT(text_out);
    WITHOUT(keys);
    WITHOUT(bytes_out);
    WITHOUT(tensor_out);
    WITHOUT(ints_out);
    WITHOUT(array);
    WITHOUT(schema);
    WITHOUT(stream);
    WITHOUT(written);
    WITHOUT(in_array);
    WITHOUT(in_schema);
    WITHOUT(in_stream);
    WITHOUT(frame_keys);
    WITHOUT(frame_lengths);
    for (int key = 0; key < KEYS; key++) WITHOUT(k[key]);
#undef WITHOUT
    /* Everything at once, rewrites too. */
    memset(&c, 0, sizeof c);
    observe_all(&c, NULL);
    for (const char* const* name = rewrites; *name; name++) {
        c = good, c.path = NULL, c.db = NULL;
        observe_one(&c, *name);
        c = good, c.k[N] = c.k[F2] = c.pattern = NULL;
        if (strstr(*name, "delete") || strstr(*name, "retain")) observe_one(&c, *name);
    }
    while (syna_close(good.new_path) == SYNA_SUCCESS) {
    }
    close_all(&good);
}

static void with_key(struct context* c, const char* key, size_t len) {
    static const char* one_key;
    static size_t one_length;
    for (int i = 0; i < KEYS; i++) c->k[i] = key, c->kl[i] = len;
    one_key = key, one_length = len;
    c->frame_keys = &one_key, c->frame_lengths = &one_length, c->frame_count = 1;
}

static void keys_and_arguments(void) {
    struct context good = made("keys.syna"), c = good;
    with_key(&c, "", 0);
    observe_all(&c, NULL);
    with_key(&c, long_key, 65536);
    observe_all(&c, NULL);
    with_key(&c, "\xff", 1);
    observe_all(&c, NULL);
    fill(&good);
    with_key(&c, "absent", 6);
    observe_some(&c, "get"), observe_some(&c, "history"), observe_some(&c, "delete");
    observe_some(&c, "frame");
    struct syna_series* absent;
    CHECK_IS(syna_series_open(good.db, "absent", 6, &absent), SYNA_SUCCESS);
    c.series = c.int_series = absent;
    observe_some(&c, "syna_series_get");
    CHECK_IS(syna_series_close(absent), SYNA_SUCCESS);
    /* Every value is asked for as another kind. */
    c = good;
    c.k[F] = c.k[B] = "t", c.k[I] = c.k[T] = "f";
    c.series = good.int_series, c.int_series = good.series;
    observe_some(&c, "get");
    struct syna_history_options asked = {.struct_size = sizeof asked, .as_type = SYNA_AS_INT};
    c = good, c.asked = &asked;
    observe_some(&c, "history");
    CHECK(syna_put_float_at(c.path, "f", 1, 1) > 0);
    asked.order = SYNA_ORDER_TIME;
    observe_some(&c, "_history_stream");
    CHECK_IS(syna_snapshot_release(good.snapshot), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_take(good.db, &good.snapshot), SYNA_SUCCESS);
    c.snapshot = good.snapshot;
    observe_some(&c, "_history_stream");
    observe_some(&c, "scan");
    asked.as_type = 99;
    observe_some(&c, "history"), observe_some(&c, "scan");
    struct syna_frame_options framed = {.struct_size = sizeof framed, .as_type = SYNA_AS_INT};
    c = good, c.framed = &framed;
    observe_some(&c, "frame");
    framed.as_type = 0, framed.every = 1, framed.by_time = SYNA_ON;
    framed.time_start = INT64_MIN, framed.time_end = INT64_MAX;
    observe_some(&c, "frame");
    framed.every = -1;
    observe_some(&c, "frame");
    c.framed = NULL, c.frame_count = 0;
    observe_some(&c, "frame");
    c = good, c.wrong = NO_COLUMN;
    observe_some(&c, "_write_");
    c.wrong = BAD_OFFSETS;
    observe_some(&c, "_write_");
    c.wrong = BAD_FORMAT;
    observe_some(&c, "_write_");
    struct syna_write_options odd_write = {.struct_size = sizeof odd_write, .floor = 9};
    c = good, c.write = &odd_write;
    observe_some(&c, "_write_");
    odd_write.floor = 0, odd_write.prefix = "\xff", odd_write.time_column = "\xff";
    observe_some(&c, "_write_");
    odd_write.prefix = odd_write.time_column = NULL;
    odd_write.atomic = SYNA_ON, odd_write.write_budget_bytes = 1;
    observe_some(&c, "_write_");
    c = good, c.pattern = "[";
    observe_some(&c, "keys"), observe_some(&c, "retain"), observe_some(&c, "scan");
    c.pattern = "\xff";
    observe_some(&c, "keys"), observe_some(&c, "retain"), observe_some(&c, "scan");
    c = good, c.cold = 7, c.last = 0, c.format = 9, c.offset = -1;
    observe_some(&c, "optimize"), observe_some(&c, "retain"), observe_some(&c, "ipc");
    observe_some(&c, "wait_durable");
    c.offset = INT64_MAX;
    observe_some(&c, "wait_durable");
    /* Texts that are not UTF-8; more bytes than a value may have. */
    c = good, c.text = "\xff", c.text_len = 1;
    observe_some(&c, "put_text");
    size_t huge = (size_t)65 << 20;
    char* space = malloc(huge + 1);
    CHECK(space);
    memset(space, 'x', huge);
    space[huge] = 0;
    c = good, c.text = space, c.text_len = huge, c.bytes = (const uint8_t*)space, c.bytes_len = huge;
    observe_some(&c, "put_text"), observe_some(&c, "put_bytes");
    free(space);
    c = good, c.bytes_len = SIZE_MAX, c.count = SIZE_MAX, c.text_len = SIZE_MAX;
    observe_some(&c, "put_bytes"), observe_some(&c, "syna_db_put_text");
    observe_some(&c, "batch"), observe_some(&c, "put_floats"), observe_some(&c, "put_ints");
    struct syna_options odd = {.struct_size = sizeof odd, .durability = 99};
    c = good, c.options = &odd;
    observe_some(&c, "_open");
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
    /* Keys with NUL, which strings cannot tell. */
    CHECK(syna_db_put_int(good.db, "a\0b", 3, NULL, 1) > 0);
    CHECK(observe_one(&good, "syna_keys") == SYNA_ERR_GENERIC);
    CHECK_IS(syna_db_delete(good.db, "a\0b", 3), SYNA_SUCCESS);
    close_all(&good);
}

static void not_open(void) {
    struct context c = made("ended.syna");
    close_all(&c);
    c.close_db = c.db, c.close_series = c.series, c.close_snapshot = c.snapshot;
    observe_all(&c, NULL);
    /* Handles that never were, or are of another kind. */
    struct context wrong = c;
    wrong.db = wrong.close_db = (struct syna_db*)(void*)&c;
    wrong.series = wrong.int_series = wrong.close_series = (struct syna_series*)(void*)c.db;
    wrong.snapshot = wrong.close_snapshot = (struct syna_snapshot*)(void*)c.series;
    observe_all(&wrong, NULL);
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
    /* A path whose bytes are none of a file's. */
    c.path = c.close_path = "", c.from = c.new_path = c.to = "";
    observe_all(&c, NULL);
    /* A snapshot and a series whose database was closed under them. */
    c = open_all("ended.syna", &os_options);
    CHECK_IS(syna_db_close(c.db), SYNA_SUCCESS);
    observe_some(&c, "syna_series_"), observe_some(&c, "syna_snapshot_");
    syna_series_close(c.series), syna_series_close(c.int_series);
    syna_snapshot_release(c.snapshot);
    CHECK_IS(syna_close(c.path), SYNA_SUCCESS);
}

static void read_only(void) {
    struct context c = made("read.syna");
    close_all(&c);
    struct syna_options options = {.struct_size = sizeof options, .read_only = SYNA_ON};
    c = open_all("read.syna", &options);
    c.to = "taken";
    observe_all(&c, NULL);
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
    close_all(&c);
}

/* Ends a child whose checks all held. Memory that only other threads of the parent hold is lost in it, which
 * valgrind would call leaks at its end: another program takes its place. */
static void end_child(void) {
    fflush(stdout);
    execl("/bin/true", "true", (char*)NULL);
    _exit(1);
}

/* Waits for a child whose checks all held. */
static void join(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void in_a_forked_child(void) {
    struct context c = made("forked.syna");
    size_t len;
    double* tensor = syna_get_history_tensor(c.path, "f", &len);
    c.close_path = c.path, c.close_db = c.db, c.close_series = c.series;
    c.to = "copy of the child";
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < CALL_COUNT; i++) {
            int32_t status = observe(&calls[i], &c);
            /* Salvage and opens of other files are the child's own. */
            if (status == SYNA_SUCCESS) {
                CHECK(strstr(calls[i].name, "_open") || strstr(calls[i].name, "salvage") ||
                      strstr(calls[i].name, "_close") || strstr(calls[i].name, "_free"));
            }
        }
        CHECK(tensor[0] == 0);
        CHECK_SAYS(syna_free_tensor(tensor, len), SYNA_ERR_NOT_OURS);
        CHECK_IS(syna_open("forked.syna"), SYNA_ERR_LOCKED);
        fflush(stdout);
        end_child();
    }
    join(child);
    /* The parent's are as they were: the child unlocked, wrote and freed nothing of them. */
    CHECK(syna_put_float(c.path, "f", 1) > 0 && syna_db_put_float(c.db, "f", 1, NULL, 1) > 0);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        CHECK_IS(syna_open("forked.syna"), SYNA_ERR_LOCKED);
        CHECK_IS(syna_open_read_only("forked.syna"), SYNA_SUCCESS);
        end_child();
    }
    join(child);
    syna_free_tensor(tensor, len);
    CHECK(syna_last_error() == SYNA_SUCCESS);
    close_all(&c);
}

static void files_that_cannot_be_opened(void) {
    struct context c = sound("none.syna");
    /* Another process writes to it. */
    int ready[2], done[2];
    CHECK(pipe(ready) == 0 && pipe(done) == 0);
    fflush(stdout);
    pid_t child = fork();
    char byte = 0;
    if (child == 0) {
        close(done[1]);
        CHECK_IS(syna_open("locked.syna"), SYNA_SUCCESS);
        CHECK(write(ready[1], "r", 1) == 1);
        CHECK(read(done[0], &byte, 1) == 0);
        end_child();
    }
    close(done[0]);
    CHECK(read(ready[0], &byte, 1) == 1);
    c.new_path = "locked.syna";
    observe_some(&c, "open");
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
    close(done[1]);
    join(child);

    struct syna_options options = {.struct_size = sizeof options, .create = SYNA_CREATE_NEVER};
    c.options = &options;
    c.new_path = c.from = "not there", c.to = "copy";
    observe_one(&c, "syna_open_with_config"), observe_one(&c, "syna_db_open");
    observe_one(&c, "syna_open_read_only"), observe_one(&c, "syna_salvage");
    CHECK_IS(syna_open("there.syna"), SYNA_SUCCESS);
    c.new_path = c.to = "there.syna";
    c.from = "there.syna";
    options.create = SYNA_CREATE_NEW;
    observe_one(&c, "syna_open_with_config"), observe_one(&c, "syna_db_open");
    observe_one(&c, "syna_salvage"), observe_one(&c, "syna_open_read_only");
    CHECK_IS(syna_close("there.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_close("there.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_open("there.syna"), SYNA_SUCCESS);
    options.create = 0, options.tail_budget_bytes = 1 << 20;
    observe_one(&c, "syna_open_with_config"), observe_one(&c, "syna_db_open");
    CHECK_IS(syna_close("there.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_open_with_config("there.syna", &os_options), SYNA_SUCCESS);
    observe_one(&c, "syna_open");
    CHECK_IS(syna_close("there.syna"), SYNA_SUCCESS);
    c.options = NULL;

    FILE* file = fopen("text.syna", "w");
    CHECK(file);
    for (int i = 0; i < 5000; i++) CHECK(fputs("no database\n", file) >= 0);
    CHECK(fclose(file) == 0);
    c.new_path = c.from = "text.syna", c.to = "copy";
    observe_some(&c, "_open"), observe_one(&c, "syna_salvage");

    /* A file of version 2. */
    const char* fixture = getenv("SYNADB_FUTURE_FIXTURE");
    CHECK(fixture);
    c.new_path = fixture;
    observe_some(&c, "_open");
    /* Its slots tell salvage that it is one of today's with a damaged version, if they are there. */
    char head[3 * 4096] = {0};
    file = fopen(fixture, "rb");
    CHECK(file && fread(head, 1, 4096, file) == 4096 && fclose(file) == 0);
    file = fopen("future.syna", "wb");
    CHECK(file && fwrite(head, 1, sizeof head, file) == sizeof head && fclose(file) == 0);
    c.from = "future.syna", c.to = "copy of the future";
    CHECK(observe_one(&c, "syna_salvage") == SYNA_ERR_UNSUPPORTED);

    CHECK(mkdir("folder", 0777) == 0);
    c.new_path = c.from = "folder";
    observe_some(&c, "_open"), observe_one(&c, "syna_salvage");

    /* No room for names, no permission to make files: what root may not do, either. */
    c.new_path = c.from = "text.syna/below", c.to = "text.syna/copy";
    observe_some(&c, "_open"), observe_one(&c, "syna_salvage");
}

/* Changes one byte of a file. */
static void damage(const char* path, long offset) {
    FILE* file = fopen(path, "r+b");
    CHECK(file && fseek(file, offset, SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(byte != EOF && fseek(file, offset, SEEK_SET) == 0 && fputc(byte ^ 0x40, file) != EOF);
    CHECK(fclose(file) == 0);
}

static void damaged_files(void) {
    struct context c = made("damaged.syna");
    /* The doubles as they are, in a chunk that is found again by its bytes. */
    close_all(&c);
    struct syna_options raw = os_options;
    raw.enable_delta = raw.enable_compression = SYNA_OFF;
    remove("damaged.syna");
    CHECK_IS(syna_open_with_config("damaged.syna", &raw), SYNA_SUCCESS);
    static double many[20000];
    static int64_t whole[20000];
    static int64_t backwards[20000];
    for (int i = 0; i < 20000; i++) many[i] = i + 0.5, whole[i] = i * 7 + 1, backwards[i] = -i;
    c = sound("damaged.syna");
    CHECK(syna_put_text(c.path, "f", large_text) > 0 && syna_put_text(c.path, "i", large_text) > 0);
    CHECK(syna_put_text(c.path, "t", large_text) > 0 && syna_put_text(c.path, "n", large_text) > 0);
    CHECK(syna_put_bytes(c.path, "b", c.bytes, LARGE) > 0);
    CHECK(syna_put_floats_batch_at(c.path, "many", backwards, many, 20000) > 0);
    CHECK(syna_put_ints_batch(c.path, "whole", whole, 20000) > 0);
    CHECK_IS(syna_sync(c.path), SYNA_SUCCESS);
    CHECK_IS(syna_close(c.path), SYNA_SUCCESS);
    /* Every stretch of x and of numbers gets a wrong byte; the index and the chain are whole. */
    FILE* file = fopen("damaged.syna", "rb");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    long len = ftell(file);
    char* all = malloc((size_t)len);
    rewind(file);
    CHECK(all && fread(all, 1, (size_t)len, file) == (size_t)len && fclose(file) == 0);
    for (long at = 0; at + LARGE <= len; at++) {
        if (!memcmp(all + at, large_text, LARGE)) damage("damaged.syna", at + LARGE / 2), at += LARGE;
    }
    for (long at = 0; at + 8 <= len; at++) {
        if (!memcmp(all + at, &many[500], 8) || !memcmp(all + at, &whole[500], 8))
            damage("damaged.syna", at);
    }
    free(all);
    c = open_all("damaged.syna", &raw);
    struct syna_series *text_series;
    CHECK_IS(syna_series_open(c.db, "t", 1, &text_series), SYNA_SUCCESS);
    struct syna_series *floats = c.series, *ints = c.int_series;
    c.series = c.int_series = text_series;
    c.to = "copy of damage";
    /* The value itself is damaged. */
    observe_some(&c, "_get_float"), observe_some(&c, "_get_int"), observe_some(&c, "_get_text");
    observe_some(&c, "_get_bytes"), observe_some(&c, "_get_kind");
    /* The history is. */
    c.k[F] = "many", c.kl[F] = 4, c.k[I] = "whole", c.kl[I] = 5;
    observe_some(&c, "tensor"), observe_some(&c, "history"), observe_some(&c, "scan");
    static const char* const damaged_keys[] = {"many", "whole"};
    static const size_t damaged_lengths[] = {4, 5};
    c.frame_keys = damaged_keys, c.frame_lengths = damaged_lengths;
    observe_some(&c, "frame");
    struct syna_history_options by_time = {.struct_size = sizeof by_time, .order = SYNA_ORDER_TIME};
    c.asked = &by_time;
    observe_some(&c, "_history_stream");
    c.asked = NULL;
    observe_some(&c, "verify");
    observe_some(&c, "compact"), observe_some(&c, "optimize");
    observe_some(&c, "retain"), observe_some(&c, "backup");
    syna_series_close(floats), syna_series_close(ints);
    c.series = text_series, c.int_series = NULL;
    close_all(&c);
    /* Damage of what an opening reads: the first entry's head, and both slots and the checkpoint. */
    damage("damaged.syna", 12288 + 9);
    for (long at = 4096; at < 12288; at += 64) damage("damaged.syna", at);
    c = sound("damaged.syna");
    c.new_path = "damaged.syna";
    observe_some(&c, "_open");
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
}

/* More than 128 MiB that nobody knows to be durable, behind a commit that is torn. */
static void a_long_torn_tail(void) {
    struct syna_options raw = os_options;
    raw.enable_delta = raw.enable_compression = SYNA_OFF;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_IS(syna_open_with_config("torn.syna", &raw), SYNA_SUCCESS);
        for (int i = 0; i < 5; i++) CHECK(syna_put_text("torn.syna", "t", large_text) > 0);
        end_child();
    }
    join(child);
    FILE* file = fopen("torn.syna", "r+b");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    long len = ftell(file), texts = 0;
    char* all = malloc((size_t)len);
    rewind(file);
    CHECK(all && fread(all, 1, (size_t)len, file) == (size_t)len);
    for (long at = 0; at + LARGE <= len; at++)
        if (!memcmp(all + at, large_text, LARGE) && ++texts == 3) damage("torn.syna", at);
    free(all);
    CHECK(texts == 5 && fseek(file, 129L << 20, SEEK_SET) == 0);
    CHECK(fputc('x', file) == 'x' && fclose(file) == 0);
    struct context c = sound("torn.syna");
    c.new_path = c.from = "torn.syna";
    observe_some(&c, "_open");
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
}

/* Locks and maps of network file systems are not to be trusted. A debug build can be told that it is on one. */
static void on_a_network(void) {
    struct context c = sound("network.syna");
    c.new_path = "network.syna";
    CHECK(setenv("SYNADB_ON_NETWORK", "1", 1) == 0);
    observe_some(&c, "_open");
    CHECK(unsetenv("SYNADB_ON_NETWORK") == 0);
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
}

/* A full database that a test may spoil. */
static struct context spoilable(const char* path, int32_t durability) {
    struct syna_options options = os_options;
    struct context c = sound(path);
    options.durability = durability;
    CHECK_IS(syna_open_with_config(path, &options), SYNA_SUCCESS);
    fill(&c);
    static struct syna_options kept;
    kept = options;
    c = open_all(path, &kept);
    c.options = &kept;
    CHECK_IS(syna_close(path), SYNA_SUCCESS);
    return c;
}

static const char* const writers[] = {
    "syna_put_float", "syna_put_int", "syna_put_text", "syna_put_bytes", "syna_put_null",
    "syna_put_float_at", "syna_put_int_at", "syna_put_text_at", "syna_put_bytes_at",
    "syna_put_null_at", "syna_put_floats_batch", "syna_put_ints_batch", "syna_put_floats_batch_at",
    "syna_put_ints_batch_at", "syna_delete", "syna_db_delete", "syna_db_put_float",
    "syna_db_put_int", "syna_db_put_text", "syna_db_put_bytes", "syna_db_put_null",
    "syna_db_put_floats", "syna_db_put_ints", "syna_series_put_float", "syna_series_put_int",
    "syna_flush", "syna_db_flush", "syna_sync", "syna_db_sync", "syna_compact", "syna_optimize",
    "syna_retain", "syna_db_compact", "syna_db_optimize", "syna_db_retain", "syna_db_wait_durable",
    "syna_backup", "syna_db_backup", "syna_write_stream", "syna_write_array", "syna_write_wide_stream",
    "syna_write_wide_array", "syna_db_write_stream", "syna_db_write_array",
    "syna_db_write_wide_stream", "syna_db_write_wide_array", NULL};

/* What writes at once where a put does. */
static int waits_for_nothing(const char* name) {
    return !strstr(name, "sync") && !strstr(name, "flush") && !strstr(name, "wait");
}

static void no_room(void) {
    /* Nothing is lost, and it goes on once there is room. */
    struct context c = spoilable("full.syna", SYNA_DURABILITY_OS);
    c.to = "copy of full", c.last = 1, c.from = c.path, c.new_path = "no room.syna";
    for (const char* const* name = writers; *name; name++)
        if (waits_for_nothing(*name)) without_room_one(&c, *name);
    without_room(&c, NULL, "_open");
    without_room_one(&c, "syna_salvage");
    CHECK(syna_put_float(c.path, "f", 1) > 0);
    close_all(&c);
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }

    /* What is in a buffer cannot be written out. */
    struct syna_options buffered = os_options;
    buffered.durability = SYNA_DURABILITY_BUFFERED;
    buffered.buffer_interval_ms = 1000000;
    static const char* const hand_out[] = {"syna_flush", "syna_db_flush",        "syna_sync",
                                           "syna_db_sync", "syna_db_wait_durable", NULL};
    c = sound("buffered.syna");
    CHECK_IS(syna_open_with_config("buffered.syna", &buffered), SYNA_SUCCESS);
    fill(&c);
    c = open_all("buffered.syna", &buffered);
    CHECK_IS(syna_close("buffered.syna"), SYNA_SUCCESS);
    for (const char* const* name = hand_out; *name; name++) {
        c.offset = syna_put_float(c.path, "f", 1);
        CHECK(c.offset > 0);
        without_room_one(&c, *name);
    }
    /* Nor can it when it is closed. */
    CHECK(syna_close(c.path) == SYNA_SUCCESS);
    c.close_db = c.db;
    without_room_one(&c, "syna_db_close");
    syna_series_close(c.series), syna_series_close(c.int_series);
    syna_snapshot_release(c.snapshot);
    CHECK_IS(syna_open_with_config("buffered.syna", &buffered), SYNA_SUCCESS);
    CHECK(syna_put_float("buffered.syna", "f", 1) > 0);
    c.close_path = c.path;
    without_room_one(&c, "syna_close");
}

/* A writer in another process, which does what it is told by a line and answers it. */
struct writer {
    pid_t pid;
    int to, from;
};

static struct writer start_writer(const char* path, const struct syna_options* options) {
    int to[2], from[2];
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    fflush(stdout);
    struct writer writer = {.pid = fork()};
    if (writer.pid == 0) {
        close(to[1]), close(from[0]);
        struct context c = sound(path);
        CHECK_IS(syna_open_with_config(path, options), SYNA_SUCCESS);
        fill(&c);
        CHECK(write(from[1], "r", 1) == 1);
        for (char what; read(to[0], &what, 1) == 1;) {
            if (what == 'w') fill(&c);
            if (what == 's') CHECK_IS(syna_sync(path), SYNA_SUCCESS);
            CHECK(write(from[1], "d", 1) == 1);
        }
        end_child();
    }
    close(to[0]), close(from[1]);
    writer.to = to[1], writer.from = from[0];
    char ready;
    CHECK(read(writer.from, &ready, 1) == 1);
    return writer;
}

static void tell(const struct writer* writer, char what) {
    CHECK(write(writer->to, &what, 1) == 1 && read(writer->from, &what, 1) == 1);
}

static void end_writer(struct writer* writer) {
    close(writer->to), close(writer->from);
    join(writer->pid);
}

/* All that only reads, and looks for newer commits first where the database is read-only. */
static void observe_reads(const struct context* c) {
    observe_some(c, "_get_"), observe_some(c, "history"), observe_some(c, "_exists");
    observe_some(c, "_keys"), observe_some(c, "verify"), observe_some(c, "_take");
    observe_some(c, "series_open"), observe_some(c, "refresh"), observe_some(c, "backup");
    observe_some(c, "scan"), observe_some(c, "frame");
}

static void readers_beside_a_writer(void) {
    struct writer writer = start_writer("beside.syna", &os_options);
    struct syna_options reading = {.struct_size = sizeof reading,
                                   .read_only = SYNA_ON,
                                   .refresh_interval_ms = SYNA_REFRESH_ALWAYS};
    struct context c = open_all("beside.syna", &reading);
    c.to = "copy of beside";
    tell(&writer, 'w');
    /* What came since then cannot be read; nor the values that are read from the file. */
    reads_fail = 1;
    observe_reads(&c);
    with_key(&c, "t", 1);
    observe_reads(&c);
    observe_some(&c, "_open");
    reads_fail = 0;
    c.new_path = c.from = c.path;
    reads_fail = 1;
    observe_some(&c, "_open"), observe_one(&c, "syna_salvage");
    reads_fail = 0;
    while (syna_close(c.new_path) == SYNA_SUCCESS) {
    }
    c = open_all("beside.syna", &reading);
    /* What came since then is damaged, and known to be durable. */
    CHECK_IS(syna_db_refresh(c.db), SYNA_SUCCESS);
    /* The end of the log: behind the last entry there are zeros. */
    FILE* file = fopen("beside.syna", "rb");
    CHECK(file);
    long end = 0, at = 0;
    for (int byte; (byte = fgetc(file)) != EOF; at++)
        if (byte) end = at + 1;
    CHECK(fclose(file) == 0);
    tell(&writer, 'w'), tell(&writer, 's'), tell(&writer, 'w'), tell(&writer, 's');
    for (at = end + 8; at < end + 4096; at += 8) damage("beside.syna", at);
    struct timespec slot = {.tv_sec = 2};
    nanosleep(&slot, NULL);
    tell(&writer, 'w'), tell(&writer, 's');
    observe_reads(&c);
    close_all(&c);
    end_writer(&writer);
}

/* One rewrite at a time. */
static void* compact_it(void* c) {
    CHECK_IS(syna_compact(((const struct context*)c)->path), SYNA_SUCCESS);
    return NULL;
}

static void busy(void) {
    struct context c = spoilable("busy.syna", SYNA_DURABILITY_OS);
    pthread_t thread;
    char byte = 0;
    CHECK(pipe(wait_for) == 0 && pipe(waiting) == 0);
    syncs_wait = 1;
    CHECK(pthread_create(&thread, NULL, compact_it, &c) == 0);
    CHECK(read(waiting[0], &byte, 1) == 1);
    syncs_wait = 0;
    observe_some(&c, "compact"), observe_some(&c, "optimize"), observe_some(&c, "retain");
    CHECK(write(wait_for[1], &byte, 1) == 1);
    CHECK(pthread_join(thread, NULL) == 0);
    close_all(&c);
}

/* The address space that the process has, in bytes. */
static rlim_t address_space(void) {
    FILE* file = fopen("/proc/self/statm", "r");
    unsigned long pages;
    CHECK(file && fscanf(file, "%lu", &pages) == 1 && fclose(file) == 0);
    return (rlim_t)pages * 4096;
}

/* In a process of its own, with so many bytes more than it has. */
static pid_t start_with_bytes(size_t bytes, void (*run)(struct context*), struct context* c) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct context opened = open_all(c->path, c->options);
        opened.options = c->options;
        for (int i = 0; i < KEYS; i++) opened.k[i] = c->k[i], opened.kl[i] = c->kl[i];
        opened.reals = c->reals, opened.wholes = c->wholes, opened.count = c->count;
        opened.stamps = NULL, opened.new_path = c->new_path;
        opened.frame_keys = c->frame_keys, opened.frame_lengths = c->frame_lengths;
        opened.frame_count = c->frame_count;
        struct syna_series *series = opened.series, *ints = opened.int_series;
        CHECK_IS(syna_series_open(opened.db, c->k[F], c->kl[F], &opened.series), SYNA_SUCCESS);
        opened.int_series = opened.series;
        (void)series, (void)ints;
        /* Memory that was freed counts as had. */
        malloc_trim(0);
        struct rlimit limit = {.rlim_cur = address_space() + bytes, .rlim_max = RLIM_INFINITY};
        CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
        run(&opened);
        fflush(stdout);
        end_child();
    }
    return child;
}

static void with_bytes(size_t bytes, void (*run)(struct context*), struct context* c) {
    join(start_with_bytes(bytes, run, c));
}

static void with_bytes_or_ended(size_t bytes, void (*run)(struct context*), struct context* c) {
    int status;
    pid_t child = start_with_bytes(bytes, run, c);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : WEXITSTATUS(status) == 0);
}

static void take_values(struct context* c) {
    observe_some(c, "_get_float"), observe_some(c, "_get_int"), observe_some(c, "_get_text");
    observe_some(c, "_get_bytes"), observe_some(c, "_get_kind");
}

static void take_histories(struct context* c) {
    observe_some(c, "_tensor"), observe_some(c, "_export"), observe_some(c, "_ipc");
    struct syna_history_options by_time = {.struct_size = sizeof by_time, .order = SYNA_ORDER_TIME};
    c->asked = &by_time;
    observe_some(c, "_history_stream");
    c->asked = NULL;
    observe_some(c, "_scan_export"), observe_some(c, "_frame");
}

static void take_keys(struct context* c) { observe_some(c, "_keys"); }

static void put_batches(struct context* c) {
    observe_one(c, "syna_put_floats_batch"), observe_one(c, "syna_put_ints_batch");
    observe_one(c, "syna_db_put_floats"), observe_one(c, "syna_db_put_ints");
}

static void open_it(struct context* c) { observe_some(c, "_open"); }

/* A database whose writer died, and 64 MiB that are no entries behind its last commit: an opening looks
 * through them as a whole. */
static void a_long_tail_of_nothing(const char* path) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_IS(syna_open_with_config(path, &os_options), SYNA_SUCCESS);
        CHECK(syna_put_float(path, "f", 1) > 0);
        end_child();
    }
    join(child);
    enum { MIB = 1 << 20 };
    char* nothing = malloc(MIB);
    CHECK(nothing);
    memset(nothing, 'x', MIB);
    FILE* file = fopen(path, "r+b");
    CHECK(file && fseek(file, 0, SEEK_END) == 0);
    for (int i = 0; i < 64; i++) CHECK(fwrite(nothing, MIB, 1, file) == 1);
    CHECK(fclose(file) == 0);
    free(nothing);
}

static void too_little_memory(void) {
    if (getenv("SYNADB_NO_LIMITS")) return;
    struct syna_options raw = os_options;
    raw.enable_delta = raw.enable_compression = SYNA_OFF;
    raw.buffer_pool_bytes = raw.column_cache_bytes = SYNA_NONE;
    struct context c = sound("memory.syna");
    c.options = &raw;
    CHECK_IS(syna_open_with_config(c.path, &raw), SYNA_SUCCESS);
    enum { MANY = 8000000 };
    size_t huge = (size_t)60 << 20;
    char* text = malloc(huge + 1);
    double* many = calloc(MANY, sizeof *many);
    int64_t* stamps = calloc(MANY, sizeof *stamps);
    CHECK(text && many && stamps);
    memset(text, 'x', huge);
    text[huge] = 0;
    for (int i = 0; i < MANY; i++) many[i] = i, stamps[i] = MANY - i;
    CHECK(syna_put_text(c.path, "text", text) > 0);
    CHECK(syna_put_floats_batch_at(c.path, "floats", stamps, many, MANY) > 0);
    CHECK(syna_put_ints_batch_at(c.path, "ints", stamps, stamps, MANY) > 0);
    CHECK_IS(syna_close(c.path), SYNA_SUCCESS);
    free(text);
    with_key(&c, "text", 4);
    with_bytes((size_t)8 << 20, take_values, &c);
    with_key(&c, "floats", 6);
    c.k[I] = "ints", c.kl[I] = 4;
    /* The threads that decode need some, too. */
    with_bytes((size_t)40 << 20, take_histories, &c);
    c.reals = many, c.wholes = stamps, c.count = MANY;
    with_bytes((size_t)16 << 20, put_batches, &c);
    free(many), free(stamps);

    struct context keys = sound("long keys.syna");
    keys.options = &os_options;
    CHECK_IS(syna_open_with_config(keys.path, &os_options), SYNA_SUCCESS);
    long_key[60000] = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(long_key, 8, "%07u", (unsigned)i % 10000000u);
        long_key[7] = 'k';
        CHECK(syna_put_int(keys.path, long_key, i) > 0);
    }
    CHECK_IS(syna_close(keys.path), SYNA_SUCCESS);
    with_key(&keys, "0000001", 7);
    /* The list that the store makes itself is no result that may fail: too little ends the child. */
    for (size_t mib = 20; mib <= 120; mib += 10) with_bytes_or_ended(mib << 20, take_keys, &keys);
    c = sound("memory.syna");
    c.new_path = "long tail.syna";
    a_long_tail_of_nothing(c.new_path);
    with_bytes((size_t)24 << 20, open_it, &c);
}

static void too_large(void) {
    struct context c = open_all("large.syna", &os_options);
    /* Texts of more than 2^31 bytes together, as one array. */
    size_t huge = (size_t)60 << 20;
    char* text = malloc(huge + 1);
    CHECK(text);
    memset(text, 'x', huge);
    text[huge] = 0;
    for (int i = 0; i < 40; i++) CHECK(syna_put_text_at(c.path, "f", -i, text) > 0);
    free(text);
    CHECK_IS(syna_snapshot_release(c.snapshot), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_take(c.db, &c.snapshot), SYNA_SUCCESS);
    c.pattern = "f", c.pattern_len = 1;
    observe_some(&c, "_history_export"), observe_some(&c, "_scan_export");
    struct syna_history_options by_time = {.struct_size = sizeof by_time, .order = SYNA_ORDER_TIME};
    c.asked = &by_time;
    observe_some(&c, "_history_stream");
    close_all(&c);
    remove("large.syna");
}

static void failed_syncs(void) {
    struct context c = spoilable("poisoned.syna", SYNA_DURABILITY_OS);
    c.to = "copy of poisoned";
    c.offset = syna_put_float(c.path, "f", 1);
    syncs_fail = 1;
    CHECK(observe_one(&c, "syna_sync") != SYNA_SUCCESS);
    syncs_fail = 0;
    for (const char* const* name = writers; *name; name++) observe_one(&c, *name);
    double real;
    CHECK_IS(syna_get_float(c.path, "f", &real), SYNA_SUCCESS);
    c.close_path = c.path;
    CHECK(syna_db_close(c.db) == SYNA_SUCCESS);
    syna_series_close(c.series), syna_series_close(c.int_series);
    syna_snapshot_release(c.snapshot);
    CHECK(observe_one(&c, "syna_close") == SYNA_ERR_POISONED);
    c = spoilable("poisoned too.syna", SYNA_DURABILITY_OS);
    CHECK(syna_put_float(c.path, "f", 1) > 0);
    syncs_fail = 1;
    CHECK(observe_one(&c, "syna_db_sync") != SYNA_SUCCESS);
    syncs_fail = 0;
    CHECK_IS(syna_close(c.path), SYNA_SUCCESS);
    c.close_db = c.db;
    CHECK(observe_one(&c, "syna_db_close") == SYNA_ERR_POISONED);
    syna_series_close(c.series), syna_series_close(c.int_series);
    syna_snapshot_release(c.snapshot);
}

static void files_of_others(void) {
    struct context c = spoilable("replaced.syna", SYNA_DURABILITY_OS);
    c.to = "copy of replaced";
    c.offset = syna_put_float(c.path, "f", 1);
    CHECK(rename("replaced.syna", "moved away.syna") == 0);
    CHECK(observe_one(&c, "syna_sync") == SYNA_ERR_DETACHED);
    for (const char* const* name = writers; *name; name++) observe_one(&c, *name);
    CHECK_IS(syna_db_close(c.db), SYNA_SUCCESS);
    syna_series_close(c.series), syna_series_close(c.int_series);
    syna_snapshot_release(c.snapshot);
    c.close_path = c.path;
    observe_one(&c, "syna_close");
    c = spoilable("replaced too.syna", SYNA_DURABILITY_OS);
    CHECK(rename("replaced too.syna", "moved away too.syna") == 0);
    observe_one(&c, "syna_db_sync");
    CHECK_IS(syna_close(c.path), SYNA_SUCCESS);
    c.close_db = c.db;
    observe_one(&c, "syna_db_close");
    syna_series_close(c.series), syna_series_close(c.int_series);
    syna_snapshot_release(c.snapshot);

    /* A reader notices when it looks. */
    c = spoilable("seen.syna", SYNA_DURABILITY_OS);
    close_all(&c);
    struct syna_options reading = {.struct_size = sizeof reading,
                                   .read_only = SYNA_ON,
                                   .refresh_interval_ms = SYNA_REFRESH_ALWAYS};
    c = open_all("seen.syna", &reading);
    c.to = "copy of seen";
    FILE* other = fopen("other", "w");
    CHECK(other && fputs("not ours", other) >= 0 && fclose(other) == 0);
    CHECK(rename("other", "seen.syna") == 0);
    observe_reads(&c);
    observe_some(&c, "refresh");
    close_all(&c);

    /* A file with another name cannot be rewritten. */
    c = spoilable("linked.syna", SYNA_DURABILITY_OS);
    CHECK(link("linked.syna", "another name.syna") == 0);
    observe_some(&c, "compact"), observe_some(&c, "optimize"), observe_some(&c, "retain");
    close_all(&c);
}

/* Every function panics when it is asked to, and nothing leaves it. */
static void panics(void) {
    struct context c = made("panics.syna");
    if (getenv("SYNADB_NO_PANICS")) {
        close_all(&c);
        return;
    }
    for (int i = 0; i < CALL_COUNT; i++) {
        CHECK(setenv("SYNADB_PANIC_IN", calls[i].name, 1) == 0);
        CHECK(observe(&calls[i], &c) == SYNA_ERR_INTERNAL_PANIC);
        CHECK(strstr(syna_last_error_message(), calls[i].name));
    }
    struct ArrowArrayStream stream;
    struct ArrowArray array;
    struct ArrowSchema schema;
    CHECK(unsetenv("SYNADB_PANIC_IN") == 0);
    CHECK_IS(syna_history_stream(c.path, "f", NULL, &stream), SYNA_SUCCESS);
    CHECK(setenv("SYNADB_PANIC_IN", "ArrowArrayStream.get_next", 1) == 0);
    memset(&array, 0x55, sizeof array);
    CHECK(stream.get_next(&stream, &array) != 0 && !array.release);
    CHECK(setenv("SYNADB_PANIC_IN", "ArrowArrayStream.get_schema", 1) == 0);
    memset(&schema, 0x55, sizeof schema);
    CHECK(stream.get_schema(&stream, &schema) != 0 && !schema.release);
    CHECK(stream.get_last_error(&stream));
    CHECK(unsetenv("SYNADB_PANIC_IN") == 0);
    stream.release(&stream);
    CHECK(syna_put_float(c.path, "f", 1) > 0);
    close_all(&c);
}

int main(int argc, char** argv) {
    memset(large_text, 'x', LARGE);
    for (int i = 0; i < LARGE; i += 97) large_text[i] = (char)('a' + i % 26);
    memset(long_key, 'k', 65536);
    for (int i = 0; i < 100; i++) reals[i] = i * 0.5, wholes[i] = i;
    const struct {
        const char* name;
        void (*run)(void);
    } scenarios[] = {
        {"all_is_well", all_is_well},
        {"nulls", nulls},
        {"keys_and_arguments", keys_and_arguments},
        {"not_open", not_open},
        {"read_only", read_only},
        {"in_a_forked_child", in_a_forked_child},
        {"files_that_cannot_be_opened", files_that_cannot_be_opened},
        {"damaged_files", damaged_files},
        {"a_long_torn_tail", a_long_torn_tail},
        {"on_a_network", on_a_network},
        {"no_room", no_room},
        {"readers_beside_a_writer", readers_beside_a_writer},
        {"busy", busy},
        {"too_large", too_large},
        {"too_little_memory", too_little_memory},
        {"failed_syncs", failed_syncs},
        {"files_of_others", files_of_others},
        {"panics", panics},
    };
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (argc > 1 && strcmp(argv[1], scenarios[i].name)) continue;
        fprintf(stderr, "%s\n", scenarios[i].name);
        scenarios[i].run();
        fflush(stdout);
    }
    puts("statuses: ok");
    return 0;
}
