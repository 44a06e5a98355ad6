/* What the bars of the C interface measure in C: `bench TASK ARGS..` prints lines of a name and a
 * figure. benches/bars compiles it against target/release and holds it against Rust. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <synadb.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "bench.c:%d: %s: %s\n", __LINE__, #condition, \
                    syna_last_error_message()); \
            exit(1); \
        } \
    } while (0)

enum { KEYS = 1000 };
static char keys[KEYS][24];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint64_t next(uint64_t* state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static struct syna_options options_of(int32_t durability) {
    struct syna_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.durability = durability;
    return options;
}

static void open_at(const char* path, int32_t durability) {
    struct syna_options options = options_of(durability);
    CHECK(syna_open_with_config(path, &options) == SYNA_SUCCESS);
}

/* Nanoseconds of a get by path of a random key, whose value is its number. */
static void gets_of(const char* path, long count) {
    uint64_t state = (uint64_t)count;
    double sum = 0, expected = 0, value;
    open_at(path, SYNA_DURABILITY_OS);
    for (int i = 0; i < KEYS; i++) CHECK(syna_put_float(path, keys[i], i) > 0);
    double start = now();
    for (long i = 0; i < count; i++) {
        unsigned key = (unsigned)(next(&state) % KEYS);
        if (syna_get_float(path, keys[key], &value) != SYNA_SUCCESS) CHECK(!"get");
        sum += value;
        expected += key;
    }
    printf("ns %f\n", (now() - start) * 1e9 / (double)count);
    CHECK(sum == expected);
    CHECK(syna_close(path) == SYNA_SUCCESS);
}

/* Nanoseconds of a buffered put by path, round robin over the keys. */
static void puts_of(const char* path, long count) {
    open_at(path, SYNA_DURABILITY_BUFFERED);
    for (int i = 0; i < KEYS; i++) CHECK(syna_put_float(path, keys[i], i) > 0);
    double start = now();
    for (long i = 0; i < count; i++)
        if (syna_put_float_at(path, keys[i % KEYS], i, (double)i) <= 0) CHECK(!"put");
    printf("ns %f\n", (now() - start) * 1e9 / (double)count);
    CHECK(syna_close(path) == SYNA_SUCCESS);
}

struct loop {
    const char* path;
    long count;
    pthread_barrier_t* ready;
};

/* Gets and buffered puts in turn. */
static void* loop(void* of) {
    const struct loop* loop = of;
    uint64_t state = 7;
    double value;
    pthread_barrier_wait(loop->ready);
    for (long i = 0; i < loop->count; i++) {
        unsigned key = (unsigned)(next(&state) % KEYS);
        if (i % 8 == 0) {
            if (syna_put_float(loop->path, keys[key], (double)key) <= 0) CHECK(!"put");
        } else {
            if (syna_get_float(loop->path, keys[key], &value) != SYNA_SUCCESS) CHECK(!"get");
            if (value != (double)key) CHECK(!"the value");
        }
    }
    return NULL;
}

static double rate(const char* const* paths, int threads, long count) {
    pthread_t thread[2];
    struct loop loops[2];
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        loops[i] = (struct loop){paths[i], count, &ready};
        CHECK(pthread_create(&thread[i], NULL, loop, &loops[i]) == 0);
    }
    pthread_barrier_wait(&ready);
    double start = now();
    for (int i = 0; i < threads; i++) CHECK(pthread_join(thread[i], NULL) == 0);
    double elapsed = now() - start;
    pthread_barrier_destroy(&ready);
    return (double)threads * (double)count / elapsed;
}

/* Two threads on two databases against one on one. */
static void databases(const char* a, const char* b, long count) {
    const char* paths[] = {a, b};
    for (int i = 0; i < 2; i++) {
        open_at(paths[i], SYNA_DURABILITY_BUFFERED);
        for (int key = 0; key < KEYS; key++) CHECK(syna_put_float(paths[i], keys[key], key) > 0);
    }
    rate(paths, 1, count / 10);
    double one = rate(paths, 1, count), two = rate(paths, 2, count);
    printf("one %f\ntwo %f\n", one, two);
    CHECK(syna_close(a) == SYNA_SUCCESS && syna_close(b) == SYNA_SUCCESS);
}

/* A walk with two decimals, a second apart. */
static void fill(const char* path, long count, int raw) {
    struct syna_options options = options_of(SYNA_DURABILITY_OS);
    if (raw) options.enable_delta = options.enable_compression = SYNA_OFF;
    double* values = malloc((size_t)count * 8);
    int64_t* stamps = malloc((size_t)count * 8);
    uint64_t state = 3;
    int64_t cents = 0;
    CHECK(values && stamps);
    for (long i = 0; i < count; i++) {
        cents += (int64_t)(next(&state) % 201) - 100;
        values[i] = (double)cents / 100;
        stamps[i] = i * 1000000;
    }
    CHECK(syna_open_with_config(path, &options) == SYNA_SUCCESS);
    CHECK(syna_put_floats_batch_at(path, "k", stamps, values, (size_t)count) > 0);
    CHECK(syna_close(path) == SYNA_SUCCESS);
    CHECK(syna_open_with_config(path, &options) == SYNA_SUCCESS);
    free(values), free(stamps);
}

/* Seconds of a tensor taken again, and of a copy of as much into memory used before. */
static void tensor(const char* path, long count, int rounds) {
    size_t len;
    fill(path, count, 0);
    double* first = syna_get_history_tensor(path, "k", &len);
    CHECK(first && (long)len == count);
    double* to = malloc(len * 8);
    double* from = malloc(len * 8);
    CHECK(to && from);
    memcpy(from, first, len * 8);
    memcpy(to, first, len * 8);
    syna_free_tensor(first, len);
    for (int i = 0; i < rounds; i++) {
        double start = now();
        double* again = syna_get_history_tensor(path, "k", &len);
        double taken = now() - start;
        CHECK(again && !memcmp(again, from, len * 8));
        syna_free_tensor(again, len);
        start = now();
        memcpy(to, from, len * 8);
        double copied = now() - start;
        CHECK(to[len - 1] == from[len - 1]);
        printf("tensor%d %f\nmemcpy%d %f\n", i, taken * 1e3, i, copied * 1e3);
    }
    free(to), free(from);
    CHECK(syna_close(path) == SYNA_SUCCESS);
}

/* Whether an address lies in the mapping of this file. */
static int is_mapped(const void* address, const char* name) {
    char line[1024];
    FILE* maps = fopen("/proc/self/maps", "r");
    int found = 0;
    CHECK(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        CHECK(sscanf(line, "%lx-%lx", &start, &end) == 2);
        if ((uintptr_t)address >= start && (uintptr_t)address < end) found = !!strstr(line, name);
    }
    fclose(maps);
    return found;
}

/* Microseconds of exporting the whole history from the second time on: of raw columns, whose buffer
 * is the file's mapping, and of encoded ones, whose buffer is the cache's. */
static void exports(const char* path, long count, int rounds) {
    for (int raw = 0; raw < 2; raw++) {
        struct ArrowArray first, again;
        struct ArrowSchema schema, same;
        unlink(path);
        fill(path, count, raw);
        CHECK(syna_history_export(path, "k", NULL, &first, &schema) == SYNA_SUCCESS);
        CHECK(first.length == count);
        const void* buffer = first.children[1]->buffers[1];
        if (raw) CHECK(is_mapped(buffer, strrchr(path, '/') + 1));
        double start = now();
        for (int i = 0; i < rounds; i++) {
            CHECK(syna_history_export(path, "k", NULL, &again, &same) == SYNA_SUCCESS);
            CHECK(again.children[1]->buffers[1] == buffer);
            again.release(&again), same.release(&same);
        }
        printf("%s %f\n", raw ? "raw" : "encoded", (now() - start) * 1e6 / rounds);
        first.release(&first), schema.release(&schema);
        CHECK(syna_close(path) == SYNA_SUCCESS);
    }
}

static double rss_anon(void) {
    char line[256];
    FILE* status = fopen("/proc/self/status", "r");
    double kib = 0;
    CHECK(status);
    while (fgets(line, sizeof line, status)) sscanf(line, "RssAnon: %lf", &kib);
    fclose(status);
    return kib / 1024;
}

static void one_round(const char* path, long round) {
    struct ArrowArray array;
    struct ArrowSchema schema;
    size_t len;
    CHECK(syna_put_float_at(path, keys[round % 10], 5, (double)round) > 0);
    CHECK(syna_put_text(path, "text", "a text of some length") > 0);
    char* text = syna_get_text(path, "text", &len);
    CHECK(text);
    syna_free_text(text, len);
    CHECK(syna_history_export(path, "exported", NULL, &array, &schema) == SYNA_SUCCESS);
    array.release(&array), schema.release(&schema);
    double* tensor = syna_get_history_tensor(path, "exported", &len);
    CHECK(tensor);
    syna_free_tensor(tensor, len);
    /* Histories that grow would be more to remember, which is no leak: every so often they end. */
    if (round % 10000 == 9999) {
        for (int key = 0; key < 10; key++) syna_delete(path, keys[key]);
        CHECK(syna_delete(path, "text") == SYNA_SUCCESS);
        CHECK(syna_compact(path) == SYNA_SUCCESS);
        CHECK(syna_put_text(path, "text", "again") > 0);
    }
}

static void one_open(const char* path) {
    struct syna_db* db;
    struct syna_series* series;
    struct syna_snapshot* snapshot;
    struct syna_options options = options_of(SYNA_DURABILITY_OS);
    open_at(path, SYNA_DURABILITY_OS);
    CHECK(syna_db_open(path, &options, &db) == SYNA_SUCCESS);
    CHECK(syna_series_open(db, "k", 1, &series) == SYNA_SUCCESS);
    CHECK(syna_snapshot_take(db, &snapshot) == SYNA_SUCCESS);
    CHECK(syna_series_close(series) == SYNA_SUCCESS);
    CHECK(syna_snapshot_release(snapshot) == SYNA_SUCCESS);
    CHECK(syna_db_close(db) == SYNA_SUCCESS && syna_close(path) == SYNA_SUCCESS);
}

/* MiB that a process grows by over many rounds, a tenth of them to warm up. */
static void leaks(const char* path, const char* other, long rounds, long opens) {
    open_at(path, SYNA_DURABILITY_OS);
    for (int i = 0; i < 100; i++) CHECK(syna_put_float(path, "exported", i) > 0);
    for (long round = 0; round < rounds / 10; round++) one_round(path, round);
    for (long i = 0; i < opens / 10; i++) one_open(other);
    double before = rss_anon();
    for (long round = 0; round < rounds; round++) one_round(path, round);
    for (long i = 0; i < opens; i++) one_open(other);
    double grown = rss_anon() - before;
    printf("mib %f\n", grown > 0 ? grown : 0);
    CHECK(syna_close(path) == SYNA_SUCCESS);
}

int main(int argc, char** argv) {
    for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "k/%014d", i);
    const char* task = argc > 2 ? argv[1] : "";
    if (!strcmp(task, "gets")) gets_of(argv[2], atol(argv[3]));
    else if (!strcmp(task, "puts")) puts_of(argv[2], atol(argv[3]));
    else if (!strcmp(task, "databases")) databases(argv[2], argv[3], atol(argv[4]));
    else if (!strcmp(task, "tensor")) tensor(argv[2], atol(argv[3]), atoi(argv[4]));
    else if (!strcmp(task, "exports")) exports(argv[2], atol(argv[3]), atoi(argv[4]));
    else if (!strcmp(task, "leaks")) leaks(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
    else return 2;
    return 0;
}
