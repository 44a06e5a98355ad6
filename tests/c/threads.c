/* Sixty-four threads call every function at once, on databases that others open, close, rewrite and delete from
 * meanwhile. Nothing may crash, hang, or answer with what it may not; and what must hold whatever others do is
 * checked: what a thread appended alone it finds again, also over closes of everybody; a batch is whole; a
 * snapshot does not change; a handle leads to what it was opened on; the last error is the thread's own; what
 * one thread was handed another frees.
 *
 * SYNADB_THREAD_SECONDS says how long it takes. At the end it prints how often the functions were called; one that
 * never succeeded is an error, so that none is left out unnoticed. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define PER_THREAD __thread
#include "calls.h"

enum { THREADS = 64, SHARED = 4, OWNERS = 4, BOXES = 16 };
static const char text[] = "a text that is put and got";
static char paths[SHARED][32];
static volatile int stop;

/* Handles that all threads use, and each may replace and end. */
static struct shared {
    struct syna_db* db;
    struct syna_series *series, *int_series;
    struct syna_snapshot* snapshot;
} shared[SHARED];

/* Tensors that one thread takes and another frees. */
static struct box {
    pthread_mutex_t lock;
    double* tensor;
    size_t len;
} boxes[BOXES];

static unsigned called[CALL_COUNT], succeeded[CALL_COUNT];

/* Takes what lies in a shared place and puts something else there. */
#define EXCHANGE(place, value) __atomic_exchange_n(&(place), value, __ATOMIC_ACQ_REL)
#define LOAD(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)

struct thread {
    int number;
    unsigned seed;
    char own[32], key[32], storm_key[32], to[48], absent[32];
    int64_t appended, stormed;
};

static unsigned next(struct thread* t) {
    t->seed = t->seed * 1103515245 + 12345;
    return t->seed >> 16;
}

/* The answer is one of those that a race of these calls may have. */
static void is_allowed(const char* name, int32_t status) {
    switch (status) {
    case SYNA_SUCCESS:
    case SYNA_ERR_DB_NOT_FOUND:
    case SYNA_ERR_CLOSED:
    case SYNA_ERR_KEY_NOT_FOUND:
    case SYNA_ERR_BUSY: return;
    /* Of the file before a rewrite. */
    case SYNA_ERR_NO_SUCH_OFFSET: CHECK(strstr(name, "wait_durable")); return;
    default: check_failed(__FILE__, __LINE__, name);
    }
}

static int index_of(const char* name) {
    int at = 0;
    while (strcmp(calls[at].name, name)) at++;
    return at;
}

/* Calls one function of the table, with arguments that others use at the same time. */
static void call_one(struct thread* t, int which) {
    const struct call* call = &calls[which];
    unsigned at = next(t) % SHARED;
    struct context c = sound(paths[at]);
    c.text = text, c.text_len = sizeof text - 1;
    c.bytes = (const uint8_t*)text, c.bytes_len = sizeof text - 1;
    c.count = 3; /* the batches; so short that a thread never waits for long */
    c.options = &os_options;
    c.db = LOAD(shared[at].db);
    c.series = LOAD(shared[at].series), c.int_series = LOAD(shared[at].int_series);
    c.snapshot = LOAD(shared[at].snapshot);
    c.new_path = paths[next(t) % SHARED];
    c.from = "still.syna", c.to = t->to;
    /* By the default options; for reading what is only read, or what the thread has open for writing. */
    if (!strcmp(call->name, "syna_open")) c.new_path = "plain.syna";
    if (!strcmp(call->name, "syna_open_read_only")) c.new_path = next(t) % 2 ? "still.syna" : t->own;
    if (strstr(call->name, "_delete")) {
        is_allowed("", syna_db_put_null(c.db, c.k[N], c.kl[N], NULL) > 0 ? SYNA_SUCCESS : syna_last_error());
        is_allowed("", syna_db_put_null(c.db, c.k[F2], c.kl[F2], NULL) > 0 ? SYNA_SUCCESS : syna_last_error());
    } else if (!strcmp(call->name, "syna_db_wait_durable")) {
        c.offset = syna_db_put_float(c.db, "f", 1, NULL, 1);
        if (c.offset < 0) return;
    } else if (!strcmp(call->name, "syna_close")) {
        c.close_path = paths[next(t) % SHARED];
    } else if (!strcmp(call->name, "syna_db_close")) {
        /* Those that others are using; fresh ones take their place. */
        struct syna_db* fresh;
        CHECK_IS(syna_db_open(paths[at], &os_options, &fresh), SYNA_SUCCESS);
        c.close_db = EXCHANGE(shared[at].db, fresh);
    } else if (!strcmp(call->name, "syna_series_close")) {
        struct syna_series *floats, *ints;
        if (syna_series_open(c.db, "f", 1, &floats) != SYNA_SUCCESS) return;
        c.close_series = EXCHANGE(shared[at].series, floats);
        if (syna_series_open(c.db, "i", 1, &ints) == SYNA_SUCCESS)
            CHECK_IS(syna_series_close(EXCHANGE(shared[at].int_series, ints)), SYNA_SUCCESS);
    } else if (!strcmp(call->name, "syna_snapshot_release")) {
        struct syna_snapshot* fresh;
        if (syna_snapshot_take(c.db, &fresh) != SYNA_SUCCESS) return;
        c.close_snapshot = EXCHANGE(shared[at].snapshot, fresh);
    } else if (strstr(call->name, "_free_")) {
        /* Of the thread's own database, which is open. */
        size_t len;
        c.free_text = syna_get_text(t->own, "four", &len);
        c.free_bytes = syna_get_bytes(t->own, "raw", &len);
        c.free_tensor = syna_get_history_tensor(t->own, "trio", &c.free_len);
        c.free_keys = syna_keys(t->own, &c.free_keys_len);
        CHECK(c.free_text && c.free_bytes && c.free_tensor && c.free_keys);
        c.free_ints = NULL;
        if (strstr(call->name, "_int")) c.free_ints = syna_get_history_tensor_int(t->own, t->key, &len);
        size_t floats = c.free_len;
        if (c.free_ints) c.free_len = len;
        CHECK(call_and_check(call, &c) == SYNA_SUCCESS);
        /* What this call did not free. */
        if (!strstr(call->name, "_text")) CHECK_SAYS(syna_free_text(c.free_text, 4), SYNA_SUCCESS);
        if (!strstr(call->name, "_bytes")) CHECK_SAYS(syna_free_bytes(c.free_bytes, 4), SYNA_SUCCESS);
        if (c.free_ints || !strstr(call->name, "_tensor"))
            CHECK_SAYS(syna_free_tensor(c.free_tensor, floats), SYNA_SUCCESS);
        if (!strstr(call->name, "_keys"))
            CHECK_SAYS(syna_free_keys(c.free_keys, c.free_keys_len), SYNA_SUCCESS);
        __atomic_fetch_add(&called[which], 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&succeeded[which], 1, __ATOMIC_RELAXED);
        return;
    }
    int32_t status = call_and_check(call, &c);
    is_allowed(call->name, status);
    __atomic_fetch_add(&called[which], 1, __ATOMIC_RELAXED);
    if (status == SYNA_SUCCESS) __atomic_fetch_add(&succeeded[which], 1, __ATOMIC_RELAXED);
    if (!strcmp(call->name, "syna_series_close") || !strcmp(call->name, "syna_snapshot_release") ||
        !strcmp(call->name, "syna_db_close"))
        CHECK(status == SYNA_SUCCESS);
    /* Series and snapshots end with the database they are of. */
    if (!strcmp(call->name, "syna_db_close")) call_one(t, index_of("syna_series_close")), call_one(t, index_of("syna_snapshot_release"));
    /* As many opens by path as closes, in the long run. */
    if (!strcmp(call->name, "syna_open_with_config")) {
        if (next(t) % 4) is_allowed("", syna_close(c.new_path));
    } else if (!strncmp(call->name, "syna_open", 9)) {
        CHECK(status == SYNA_SUCCESS);
        CHECK_IS(syna_close(c.new_path), SYNA_SUCCESS);
    }
    if (strstr(call->name, "salvage") || strstr(call->name, "backup")) remove(t->to);
}

/* A database that is open only while somebody uses it: what was acknowledged is there after any close. */
static void storm(struct thread* t) {
    const char* path = "storm.syna";
    CHECK_IS(syna_open_with_config(path, &os_options), SYNA_SUCCESS);
    CHECK(syna_put_int(path, t->storm_key, t->stormed) > 0);
    t->stormed++;
    int64_t last;
    CHECK_IS(syna_get_int(path, t->storm_key, &last), SYNA_SUCCESS);
    CHECK(last == t->stormed - 1);
    CHECK_IS(syna_close(path), SYNA_SUCCESS);
}

/* Three equal values are put as one batch: nobody sees one or two of them. */
static void batches_are_whole(struct thread* t) {
    double trio[3] = {t->number, t->number, t->number}, *tensor;
    size_t len;
    CHECK(syna_put_floats_batch(t->own, "trio", trio, 3) > 0);
    tensor = syna_get_history_tensor(t->own, "trio", &len);
    CHECK(tensor && len % 3 == 0 && len > 0);
    for (size_t i = 0; i < len; i += 3) CHECK(tensor[i] == tensor[i + 1] && tensor[i] == tensor[i + 2]);
    CHECK_SAYS(syna_free_tensor(tensor, len), SYNA_SUCCESS);
    if (len > 3000) is_allowed("", syna_retain(t->own, "trio", 300, NULL));
}

/* What a snapshot has seen it sees again, by every way there is. */
static void snapshots_stay(struct thread* t) {
    struct syna_snapshot* snapshot;
    struct ArrowArray array, scan;
    struct ArrowSchema schema;
    double *one, *other;
    size_t len, again;
    if (syna_snapshot_take(LOAD(shared[next(t) % SHARED].db), &snapshot) != SYNA_SUCCESS) return;
    int32_t status = syna_snapshot_get_tensor(snapshot, "f", 1, NULL, &one, &len);
    is_allowed("", status);
    sched_yield();
    if (status == SYNA_SUCCESS) {
        status = syna_snapshot_get_tensor(snapshot, "f", 1, NULL, &other, &again);
        if (status == SYNA_SUCCESS) CHECK(len == again && !memcmp(one, other, len * sizeof *one));
        if (status == SYNA_SUCCESS) syna_free_tensor(other, again);
        if (syna_snapshot_history_export(snapshot, "f", 1, NULL, &array, &schema) == SYNA_SUCCESS) {
            /* Only floats are put there. */
            CHECK(array.length == (int64_t)len);
            const double* values = (const double*)array.children[1]->buffers[1] + array.children[1]->offset;
            CHECK(!memcmp(values, one, len * sizeof *one));
            schema.release(&schema);
            if (syna_snapshot_scan_export(snapshot, "f", 1, NULL, &scan, &schema) == SYNA_SUCCESS) {
                CHECK(scan.length == array.length);
                scan.release(&scan), schema.release(&schema);
            }
            array.release(&array);
        }
        syna_free_tensor(one, len);
    }
    CHECK_IS(syna_snapshot_release(snapshot), SYNA_SUCCESS);
}

/* Handles are taken and given back by all at once: each leads to the key it was opened on, until it is closed. */
static void handles_are_ones_own(struct thread* t) {
    struct syna_db* db;
    struct syna_series* series[4];
    char key[4][48];
    int64_t value;
    CHECK_IS(syna_db_open(t->own, &os_options, &db), SYNA_SUCCESS);
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < 4; i++) {
            snprintf(key[i], sizeof key[i], "%s/%d", t->key, i);
            CHECK_IS(syna_series_open(db, key[i], strlen(key[i]), &series[i]), SYNA_SUCCESS);
            if (!round) CHECK(syna_series_put_int(series[i], NULL, t->number * 4 + i) > 0);
        }
        for (int i = 0; i < 4; i++) {
            CHECK_IS(syna_series_get_int(series[i], &value), SYNA_SUCCESS);
            CHECK(value == t->number * 4 + i);
            CHECK_IS(syna_series_close(series[i]), SYNA_SUCCESS);
            CHECK(syna_series_get_int(series[i], &value) == SYNA_ERR_CLOSED);
        }
    }
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
}

/* The last error, and its message, are of this thread's call. */
static void errors_are_the_threads_own(struct thread* t) {
    double real;
    CHECK(syna_get_float(t->own, t->absent, &real) == SYNA_ERR_KEY_NOT_FOUND);
    const char* message = syna_last_error_message();
    for (int i = 0; i < 3; i++) {
        sched_yield();
        CHECK(syna_last_error() == SYNA_ERR_KEY_NOT_FOUND);
        CHECK(message == syna_last_error_message() && strstr(message, t->absent));
    }
    CHECK_IS(syna_flush(t->own), SYNA_SUCCESS);
}

/* A tensor changes hands: it is freed by another thread than took it, and it was nobody else's meanwhile. */
static void others_free(struct thread* t) {
    struct box* box = &boxes[next(t) % BOXES];
    size_t len, old_len;
    double* tensor = syna_get_history_tensor(t->own, "trio", &len);
    CHECK(tensor && len >= 3);
    for (size_t i = 0; i < len; i++) tensor[i] = t->number;
    CHECK(pthread_mutex_lock(&box->lock) == 0);
    double* old = box->tensor;
    old_len = box->len;
    box->tensor = tensor, box->len = len;
    CHECK(pthread_mutex_unlock(&box->lock) == 0);
    if (!old) return;
    for (size_t i = 1; i < old_len; i++) CHECK(old[i] == old[0]);
    CHECK_SAYS(syna_free_tensor(old, old_len), SYNA_SUCCESS);
}

static void* work(void* thread) {
    struct thread* t = thread;
    CHECK_IS(syna_open_with_config(t->own, &os_options), SYNA_SUCCESS);
    CHECK(syna_put_text(t->own, "four", "four") > 0);
    CHECK(syna_put_bytes(t->own, "raw", (const uint8_t*)"four", 4) > 0);
    CHECK(syna_put_int(t->own, t->key, t->appended++) > 0);
    batches_are_whole(t);
    for (int round = 0; !stop || round < CALL_COUNT / OWNERS; round++) {
        double real;
        CHECK(syna_put_int(t->own, t->key, t->appended++) > 0);
        CHECK(syna_get_float(t->own, t->key, &real) == SYNA_ERR_TYPE_MISMATCH);
        switch (next(t) % 8) {
        case 0: storm(t); break;
        case 1: batches_are_whole(t); break;
        case 2: snapshots_stay(t); break;
        case 3: errors_are_the_threads_own(t); break;
        case 4: others_free(t); break;
        case 5: handles_are_ones_own(t); break;
        default: break;
        }
        /* One after the other first, so that none is left out, and then any. */
        int which = t->number + round * THREADS / OWNERS;
        call_one(t, round < CALL_COUNT / OWNERS ? which % CALL_COUNT : (int)(next(t) % CALL_COUNT));
    }
    size_t len;
    int64_t* all = syna_get_history_tensor_int(t->own, t->key, &len);
    CHECK(all && (int64_t)len == t->appended);
    for (size_t i = 0; i < len; i++) CHECK(all[i] == (int64_t)i);
    CHECK_SAYS(syna_free_tensor_int(all, len), SYNA_SUCCESS);
    CHECK_IS(syna_close(t->own), SYNA_SUCCESS);
    return NULL;
}

static void start(void) {
    CHECK_IS(syna_open_with_config("still.syna", &os_options), SYNA_SUCCESS);
    CHECK(syna_put_float("still.syna", "f", 1) > 0);
    CHECK_IS(syna_close("still.syna"), SYNA_SUCCESS);
    for (int i = 0; i < BOXES; i++) CHECK(pthread_mutex_init(&boxes[i].lock, NULL) == 0);
    for (int i = 0; i < SHARED; i++) {
        snprintf(paths[i], sizeof paths[i], "shared-%d.syna", i);
        CHECK_IS(syna_db_open(paths[i], &os_options, &shared[i].db), SYNA_SUCCESS);
        CHECK(syna_put_text(paths[i], "t", "not by path yet") == SYNA_ERR_DB_NOT_FOUND);
        CHECK_IS(syna_series_open(shared[i].db, "f", 1, &shared[i].series), SYNA_SUCCESS);
        CHECK_IS(syna_series_open(shared[i].db, "i", 1, &shared[i].int_series), SYNA_SUCCESS);
        CHECK_IS(syna_snapshot_take(shared[i].db, &shared[i].snapshot), SYNA_SUCCESS);
    }
}

static void end(const struct thread* threads) {
    for (int i = 0; i < BOXES; i++)
        if (boxes[i].tensor) CHECK_SAYS(syna_free_tensor(boxes[i].tensor, boxes[i].len), SYNA_SUCCESS);
    for (int i = 0; i < SHARED; i++) {
        CHECK_IS(syna_series_close(shared[i].series), SYNA_SUCCESS);
        CHECK_IS(syna_series_close(shared[i].int_series), SYNA_SUCCESS);
        CHECK_IS(syna_snapshot_release(shared[i].snapshot), SYNA_SUCCESS);
        while (syna_close(paths[i]) == SYNA_SUCCESS) {
        }
        CHECK_IS(syna_db_close(shared[i].db), SYNA_SUCCESS);
        CHECK_IS(syna_open(paths[i]), SYNA_SUCCESS);
        CHECK_IS(syna_verify(paths[i]), SYNA_SUCCESS);
        CHECK_IS(syna_close(paths[i]), SYNA_SUCCESS);
    }
    /* Nobody has it open: it ended whenever its last user did. */
    CHECK(syna_close("storm.syna") == SYNA_ERR_DB_NOT_FOUND);
    CHECK_IS(syna_open_with_config("storm.syna", &os_options), SYNA_SUCCESS);
    for (int i = 0; i < THREADS; i++) {
        size_t len;
        int64_t* all;
        if (!threads[i].stormed) continue;
        all = syna_get_history_tensor_int("storm.syna", threads[i].storm_key, &len);
        CHECK(all && (int64_t)len == threads[i].stormed);
        for (size_t at = 0; at < len; at++) CHECK(all[at] == (int64_t)at);
        syna_free_tensor_int(all, len);
    }
    CHECK_IS(syna_close("storm.syna"), SYNA_SUCCESS);
}

int main(void) {
    static struct thread threads[THREADS];
    static pthread_t ids[THREADS];
    const char* seconds = getenv("SYNADB_THREAD_SECONDS");
    start();
    for (int i = 0; i < THREADS; i++) {
        struct thread* t = &threads[i];
        t->number = i, t->seed = (unsigned)i * 7919 + (unsigned)time(NULL);
        snprintf(t->own, sizeof t->own, "own-%d.syna", i / OWNERS);
        snprintf(t->key, sizeof t->key, "key-%d", i);
        snprintf(t->storm_key, sizeof t->storm_key, "storm-%d", i);
        snprintf(t->to, sizeof t->to, "copy-%d.syna", i);
        snprintf(t->absent, sizeof t->absent, "absent-%d-", i);
        CHECK(pthread_create(&ids[i], NULL, work, t) == 0);
    }
    sleep(seconds ? (unsigned)atoi(seconds) : 20);
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(ids[i], NULL) == 0);
    end(threads);
    unsigned total = 0, least = UINT32_MAX;
    for (int i = 0; i < CALL_COUNT; i++) {
        total += called[i];
        if (called[i] < least) least = called[i];
        if (!succeeded[i]) check_failed(__FILE__, __LINE__, calls[i].name);
    }
    printf("%u calls of %d functions, %u of the rarest\n", total, (int)CALL_COUNT, least);
    puts("threads: ok");
    return 0;
}
