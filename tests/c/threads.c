/* Sixty-four threads call everything at once: on databases of their own and on shared ones, which
 * others open, close, rewrite and delete from meanwhile. Nothing may crash, hang, or answer with
 * what it may not, and what a thread appended alone it finds again. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 64, SHARED = 4 };
static struct syna_db* handles[SHARED];
static char paths[SHARED][32];
static volatile int stop;
static struct syna_options options = {.struct_size = sizeof options,
                                      .durability = SYNA_DURABILITY_OS};

/* The answer is one of those that a race of these calls may have. */
static void allowed(int64_t answer) {
    int32_t code = syna_last_error();
    CHECK(answer > 0 || code == SYNA_ERR_DB_NOT_FOUND || code == SYNA_ERR_CLOSED ||
          code == SYNA_ERR_KEY_NOT_FOUND || code == SYNA_ERR_TYPE_MISMATCH ||
          code == SYNA_ERR_BUSY || code == SYNA_ERR_OPTIONS_CONFLICT || code == SYNA_SUCCESS);
}

static void* work(void* number_of) {
    int number = *(int*)number_of;
    char own[32], key[32];
    int64_t appended = 0;
    unsigned seed = (unsigned)number * 7919 + 1;
    snprintf(own, sizeof own, "own-%d.syna", number % 16);
    snprintf(key, sizeof key, "key-%d", number);
    CHECK_IS(syna_open_with_config(own, &options), SYNA_SUCCESS);
    while (!stop) {
        const char* path = paths[seed % SHARED];
        struct syna_db* db = handles[seed % SHARED];
        double real;
        int64_t whole;
        size_t len;
        CHECK(syna_put_int(own, key, appended++) > 0);
        seed = seed * 1103515245 + 12345;
        switch (seed >> 16 & 31) {
        case 0: allowed(syna_open_with_config(path, &options)); break;
        case 1: allowed(syna_close(path)); break;
        case 2: allowed(syna_put_float(path, "f", 1.5)); break;
        case 3: allowed(syna_db_put_float(db, "f", 1, NULL, 2.5)); break;
        case 4: allowed(syna_get_float(path, "f", &real)); break;
        case 5: allowed(syna_db_get_int(db, "i", 1, NULL, &whole)); break;
        case 6: allowed(syna_put_text(path, "t", "a text that is put and got")); break;
        case 7: {
            char* text = syna_get_text(path, "t", &len);
            allowed(text != NULL);
            if (text) CHECK(len == 26 && !strcmp(text, "a text that is put and got"));
            if (text) CHECK_SAYS(syna_free_text(text, len), SYNA_SUCCESS);
            break;
        }
        case 8: {
            double* tensor = syna_get_history_tensor(path, "f", &len);
            allowed(tensor != NULL);
            if (tensor) CHECK(len == 0 || tensor[len - 1] == 1.5 || tensor[len - 1] == 2.5);
            if (tensor) CHECK_SAYS(syna_free_tensor(tensor, len), SYNA_SUCCESS);
            break;
        }
        case 9: {
            struct ArrowArray array;
            struct ArrowSchema schema;
            allowed(syna_db_history_export(db, "f", 1, NULL, &array, &schema));
            if (array.release) array.release(&array), schema.release(&schema);
            break;
        }
        case 10: {
            struct ArrowArrayStream stream;
            struct ArrowArray batch;
            allowed(syna_history_stream(path, "f", NULL, &stream));
            if (!stream.release) break;
            while (stream.get_next(&stream, &batch) == 0 && batch.release) batch.release(&batch);
            stream.release(&stream);
            break;
        }
        case 11: {
            char** keys = syna_keys(path, &len);
            allowed(keys != NULL);
            if (keys) CHECK_SAYS(syna_free_keys(keys, len), SYNA_SUCCESS);
            break;
        }
        case 12: {
            struct syna_snapshot* snapshot;
            allowed(syna_snapshot_take(db, &snapshot));
            allowed(syna_snapshot_get_float(snapshot, "f", 1, NULL, &real) > 0 || !snapshot);
            if (snapshot) CHECK_IS(syna_snapshot_release(snapshot), SYNA_SUCCESS);
            break;
        }
        case 13: {
            struct syna_series* series;
            allowed(syna_series_open(db, "f", 1, &series));
            if (!series) break;
            allowed(syna_series_put_float(series, NULL, 2.5));
            allowed(syna_series_get_float(series, &real));
            CHECK_IS(syna_series_close(series), SYNA_SUCCESS);
            break;
        }
        case 14: if (seed % 8 == 0) allowed(syna_compact(path)); break;
        case 15: if (seed % 8 == 0) allowed(syna_db_optimize(db, 0)); break;
        case 16: allowed(syna_delete(path, "f")); break;
        case 17: allowed(syna_sync(path)); break;
        case 18: allowed(syna_exists(path, "f") >= 0 || 1); break;
        case 19: allowed(syna_get_kind(path, "t")); break;
        case 20: {
            struct syna_db* mine;
            CHECK_IS(syna_db_open(path, &options, &mine), SYNA_SUCCESS);
            CHECK(syna_db_put_int(mine, "i", 1, NULL, number) > 0);
            CHECK_IS(syna_db_close(mine), SYNA_SUCCESS);
            CHECK_IS(syna_db_close(mine), SYNA_ERR_CLOSED);
            break;
        }
        case 21: {
            uint8_t* bytes = syna_history_ipc(path, "f", NULL, SYNA_IPC_STREAM, &len);
            allowed(bytes != NULL);
            if (bytes) CHECK_SAYS(syna_free_bytes(bytes, len), SYNA_SUCCESS);
            break;
        }
        case 22: allowed(syna_flush(path)); break;
        default: CHECK(syna_get_float(own, key, &real) == SYNA_ERR_TYPE_MISMATCH); break;
        }
    }
    size_t len;
    int64_t* all = syna_get_history_tensor_int(own, key, &len);
    CHECK(all && (int64_t)len == appended);
    for (size_t i = 0; i < len; i++) CHECK(all[i] == (int64_t)i);
    syna_free_tensor_int(all, len);
    CHECK_IS(syna_close(own), SYNA_SUCCESS);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    const char* seconds = getenv("SYNADB_THREAD_SECONDS");
    for (int i = 0; i < SHARED; i++) {
        snprintf(paths[i], sizeof paths[i], "shared-%d.syna", i);
        CHECK_IS(syna_db_open(paths[i], &options, &handles[i]), SYNA_SUCCESS);
        CHECK(syna_put_text(paths[i], "t", "not by path yet") == SYNA_ERR_DB_NOT_FOUND);
    }
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    sleep(seconds ? (unsigned)atoi(seconds) : 5);
    stop = 1;
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < SHARED; i++) {
        while (syna_close(paths[i]) == SYNA_SUCCESS) {
        }
        CHECK_IS(syna_db_close(handles[i]), SYNA_SUCCESS);
        CHECK_IS(syna_open(paths[i]), SYNA_SUCCESS);
        CHECK_IS(syna_verify(paths[i]), SYNA_SUCCESS);
        CHECK_IS(syna_close(paths[i]), SYNA_SUCCESS);
    }
    puts("threads: ok");
    return 0;
}
