/* The classic calls: what they answer with, who owns what, and what misuse does. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <math.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define DB "classic.syna"

static void values_come_back(void) {
    double real = 7;
    int64_t whole = 7;
    size_t len = 7;
    CHECK_IS(syna_open(DB), SYNA_SUCCESS);
    int64_t first = syna_put_float(DB, "f", 1.5);
    CHECK(first > 0 && syna_last_error() == SYNA_SUCCESS);
    CHECK(syna_put_float(DB, "f", -0.0) > first);
    CHECK_IS(syna_get_float(DB, "f", &real), SYNA_SUCCESS);
    CHECK(real == 0 && signbit(real));
    CHECK(syna_put_int(DB, "i", INT64_MIN) > 0);
    CHECK_IS(syna_get_int(DB, "i", &whole), SYNA_SUCCESS);
    CHECK(whole == INT64_MIN);

    CHECK(syna_put_text(DB, "t", "caf\xc3\xa9") > 0);
    char* text = syna_get_text(DB, "t", &len);
    CHECK(text && len == 5 && !strcmp(text, "caf\xc3\xa9"));
    CHECK_SAYS(syna_free_text(text, len), SYNA_SUCCESS);
    CHECK(syna_put_text(DB, "t", "") > 0);
    text = syna_get_text(DB, "t", &len);
    CHECK(text && len == 0 && *text == 0);
    CHECK_SAYS(syna_free_text(text, len), SYNA_SUCCESS);

    const uint8_t bytes[] = {0, 255, 0, 7};
    CHECK(syna_put_bytes(DB, "b", bytes, sizeof bytes) > 0);
    uint8_t* back = syna_get_bytes(DB, "b", &len);
    CHECK(back && len == 4 && !memcmp(back, bytes, 4));
    CHECK_SAYS(syna_free_bytes(back, len), SYNA_SUCCESS);
    CHECK(syna_put_bytes(DB, "b", NULL, 0) > 0);
    back = syna_get_bytes(DB, "b", &len);
    CHECK(back && len == 0);
    CHECK_SAYS(syna_free_bytes(back, len), SYNA_SUCCESS);

    CHECK(syna_put_null(DB, "n") > 0);
    CHECK(syna_get_kind(DB, "f") == SYNA_KIND_FLOAT);
    CHECK(syna_get_kind(DB, "i") == SYNA_KIND_INT);
    CHECK(syna_get_kind(DB, "t") == SYNA_KIND_TEXT);
    CHECK(syna_get_kind(DB, "b") == SYNA_KIND_BYTES);
    CHECK(syna_get_kind(DB, "n") == SYNA_KIND_NULL);

    /* Outputs are set before any work, whatever comes of it. */
    real = 7, whole = 7;
    CHECK_IS(syna_get_float(DB, "i", &real), SYNA_ERR_TYPE_MISMATCH);
    CHECK_IS(syna_get_int(DB, "f", &whole), SYNA_ERR_TYPE_MISMATCH);
    CHECK(real == 0 && whole == 0);
    len = 7;
    CHECK_NULL(syna_get_text(DB, "f", &len), SYNA_ERR_TYPE_MISMATCH);
    CHECK(len == 0);
    len = 7;
    CHECK_NULL(syna_get_bytes(DB, "missing", &len), SYNA_ERR_KEY_NOT_FOUND);
    CHECK(len == 0);
}

static void values_as_of_a_time(void) {
    double real;
    int64_t whole;
    size_t len;
    CHECK(syna_put_float_at(DB, "at", 100, 1.0) > 0);
    CHECK(syna_put_float_at(DB, "at", 200, 2.0) > 0);
    CHECK_IS(syna_get_float_at(DB, "at", 150, &real), SYNA_SUCCESS);
    CHECK(real == 1.0);
    CHECK_IS(syna_get_float_at(DB, "at", 99, &real), SYNA_ERR_KEY_NOT_FOUND);
    CHECK(syna_put_int_at(DB, "at int", -5, 3) > 0);
    CHECK_IS(syna_get_int_at(DB, "at int", -5, &whole), SYNA_SUCCESS);
    CHECK(whole == 3);
    CHECK(syna_put_text_at(DB, "at text", 5, "five") > 0);
    char* text = syna_get_text_at(DB, "at text", 6, &len);
    CHECK(text && len == 4);
    syna_free_text(text, len);
    CHECK(syna_put_bytes_at(DB, "at bytes", 5, (const uint8_t*)"x", 1) > 0);
    uint8_t* bytes = syna_get_bytes_at(DB, "at bytes", 6, &len);
    CHECK(bytes && len == 1);
    syna_free_bytes(bytes, len);
    CHECK(syna_put_null_at(DB, "at null", 5) > 0);
    CHECK(syna_get_kind(DB, "at null") == SYNA_KIND_NULL);
}

static void histories_are_tensors(void) {
    enum { N = 1000 };
    static double reals[N];
    static int64_t wholes[N], stamps[N];
    size_t len;
    for (int i = 0; i < N; i++) reals[i] = i * 0.25, wholes[i] = i * 3, stamps[i] = i * 10;
    CHECK(syna_put_floats_batch_at(DB, "h", stamps, reals, N) > 0);
    CHECK(syna_put_text(DB, "h", "left out") > 0);
    CHECK(syna_put_ints_batch_at(DB, "h", stamps, wholes, N) > 0);
    CHECK(syna_put_floats_batch(DB, "h", reals, 2) > 0);
    CHECK(syna_put_ints_batch(DB, "h", wholes, 2) > 0);
    CHECK(syna_put_floats_batch(DB, "h", NULL, 0) > 0);

    double* tensor = syna_get_history_tensor(DB, "h", &len);
    CHECK(tensor && len == N + 2 && !memcmp(tensor, reals, sizeof reals) && tensor[N + 1] == 0.25);
    CHECK((uintptr_t)tensor % 64 == 0);
    tensor[0] = 42; /* It is a copy. */
    CHECK_SAYS(syna_free_tensor(tensor, len), SYNA_SUCCESS);
    int64_t* ints = syna_get_history_tensor_int(DB, "h", &len);
    CHECK(ints && len == N + 2 && !memcmp(ints, wholes, sizeof wholes));
    CHECK_SAYS(syna_free_tensor_int(ints, len), SYNA_SUCCESS);
    int64_t* times;
    tensor = syna_get_history_tensor_timed(DB, "h", &times, &len);
    CHECK(tensor && len == N + 2 && tensor[0] == 0 && !memcmp(times, stamps, sizeof stamps));
    syna_free_tensor(tensor, len);
    CHECK_SAYS(syna_free_tensor_int(times, len), SYNA_SUCCESS);
    ints = syna_get_history_tensor_int_timed(DB, "h", &times, &len);
    CHECK(ints && len == N + 2 && ints[1] == 3 && !memcmp(times, stamps, sizeof stamps));
    syna_free_tensor_int(ints, len);
    syna_free_tensor_int(times, len);

    /* Nothing of the kind is no error; no key is one. */
    tensor = syna_get_history_tensor(DB, "i", &len);
    CHECK(tensor && len == 0);
    CHECK_SAYS(syna_free_tensor(tensor, 0), SYNA_SUCCESS);
    len = 7;
    CHECK_NULL(syna_get_history_tensor(DB, "missing", &len), SYNA_ERR_KEY_NOT_FOUND);
    CHECK(len == 0);
}

static void keys_are_one_block(void) {
    size_t len;
    const char* fresh = "keys.syna";
    CHECK_IS(syna_open(fresh), SYNA_SUCCESS);
    char** keys = syna_keys(fresh, &len);
    CHECK(keys && len == 0 && keys[0] == NULL);
    CHECK_SAYS(syna_free_keys(keys, 0), SYNA_SUCCESS);
    syna_put_int(fresh, "b", 1);
    syna_put_int(fresh, "a/c", 1);
    syna_put_int(fresh, "a", 1);
    keys = syna_keys(fresh, &len);
    CHECK(keys && len == 3 && !strcmp(keys[0], "a") && !strcmp(keys[1], "a/c"));
    CHECK(!strcmp(keys[2], "b") && keys[3] == NULL);
    CHECK_SAYS(syna_free_keys(keys, len), SYNA_SUCCESS);
    size_t* lengths;
    CHECK_IS(syna_keys_with_lengths(fresh, "a*", &keys, &lengths, &len), SYNA_SUCCESS);
    CHECK(len == 2 && lengths[0] == 1 && lengths[1] == 3 && !strcmp(keys[1], "a/c"));
    CHECK_SAYS(syna_free_keys(keys, len), SYNA_SUCCESS);
    CHECK_IS(syna_keys_with_lengths(fresh, "[", &keys, &lengths, &len), SYNA_ERR_INVALID_ARGUMENT);
    CHECK(!keys && !lengths && len == 0);

    CHECK(syna_exists(fresh, "a") == 1 && syna_exists(fresh, "z") == 0);
    CHECK_IS(syna_exists(fresh, ""), SYNA_ERR_EMPTY_KEY);
    CHECK_IS(syna_delete(fresh, "a"), SYNA_SUCCESS);
    CHECK_IS(syna_delete(fresh, "a"), SYNA_ERR_KEY_NOT_FOUND);
    CHECK(syna_exists(fresh, "a") == 0);

    /* A key with NUL goes in by its length; the strings cannot tell it. */
    struct syna_db* db;
    CHECK_IS(syna_db_open(fresh, NULL, &db), SYNA_SUCCESS);
    CHECK(syna_db_put_int(db, "n\0l", 3, NULL, 1) > 0);
    CHECK_NULL(syna_keys(fresh, &len), SYNA_ERR_GENERIC);
    CHECK(strstr(syna_last_error_message(), "syna_keys_with_lengths"));
    CHECK_IS(syna_keys_with_lengths(fresh, NULL, &keys, &lengths, &len), SYNA_SUCCESS);
    CHECK(len == 3 && lengths[2] == 3 && !memcmp(keys[2], "n\0l", 4));
    syna_free_keys(keys, len);
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
    CHECK_IS(syna_close(fresh), SYNA_SUCCESS);
}

static void wrong_frees_do_nothing(void) {
    size_t len;
    char* text = (syna_put_text(DB, "t", "freed"), syna_get_text(DB, "t", &len));
    CHECK_SAYS(syna_free_text(text, len + 1), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_text(text, 0), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_text(text + 1, len), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_bytes((uint8_t*)text, len), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_keys((char**)(void*)text, len), SYNA_ERR_NOT_OURS);
    CHECK(!strcmp(text, "freed"));
    CHECK_SAYS(syna_free_text(text, len), SYNA_SUCCESS);
    CHECK_SAYS(syna_free_text(text, len), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_text(NULL, 0), SYNA_ERR_NOT_OURS);
    char own[4] = "own";
    CHECK_SAYS(syna_free_text(own, 3), SYNA_ERR_NOT_OURS);
    double* tensor = syna_get_history_tensor(DB, "h", &len);
    CHECK_SAYS(syna_free_tensor(tensor + 1, len), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_tensor_int((int64_t*)(void*)tensor, len), SYNA_ERR_NOT_OURS);
    CHECK_SAYS(syna_free_tensor(tensor, len), SYNA_SUCCESS);
    CHECK_SAYS(syna_free_tensor(tensor, len), SYNA_ERR_NOT_OURS);

    /* A second free is noticed while the address waits, over a thousand others. */
    text = syna_get_text(DB, "t", &len);
    syna_free_text(text, len);
    for (int i = 0; i < 1023; i++) {
        size_t other_len;
        char* other = syna_get_text(DB, "t", &other_len);
        CHECK(other != text);
        syna_free_text(other, other_len);
    }
    CHECK_SAYS(syna_free_text(text, len), SYNA_ERR_NOT_OURS);
}

static void opens_are_counted_and_texts_bound(void) {
    double real;
    CHECK_IS(syna_open("./" DB), SYNA_SUCCESS);
    CHECK_IS(syna_open(DB), SYNA_SUCCESS);
    CHECK_IS(syna_get_float(".//" DB, "f", &real), SYNA_SUCCESS);
    CHECK(mkdir("elsewhere", 0777) == 0 && chdir("elsewhere") == 0);
    CHECK_IS(syna_get_float(DB, "f", &real), SYNA_SUCCESS);
    CHECK_IS(syna_get_float("../" DB, "f", &real), SYNA_SUCCESS);
    CHECK(chdir("..") == 0 && rename(DB, "renamed.syna") == 0);
    CHECK_IS(syna_get_float(DB, "f", &real), SYNA_SUCCESS);
    CHECK_IS(syna_get_float("renamed.syna", "f", &real), SYNA_SUCCESS);
    CHECK(rename("renamed.syna", DB) == 0);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
    CHECK_IS(syna_get_float("./" DB, "f", &real), SYNA_SUCCESS);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
    CHECK_IS(syna_close(DB), SYNA_ERR_DB_NOT_FOUND);
    CHECK_IS(syna_close("never opened"), SYNA_ERR_DB_NOT_FOUND);
    CHECK_IS(syna_get_float(DB, "f", &real), SYNA_ERR_DB_NOT_FOUND);

    /* Any bytes are a path. */
    CHECK_IS(syna_open("\xff\xfe.syna"), SYNA_SUCCESS);
    CHECK(syna_put_int("\xff\xfe.syna", "k", 1) > 0);
    CHECK_IS(syna_close("\xff\xfe.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_open(""), SYNA_ERR_INVALID_PATH);
    CHECK_IS(syna_open("elsewhere"), SYNA_ERR_INVALID_PATH);
}

static void keys_have_limits(void) {
    CHECK_IS(syna_open(DB), SYNA_SUCCESS);
    char* key = malloc(65537);
    CHECK(key);
    memset(key, 'k', 65536);
    key[65536] = 0;
    CHECK(syna_put_int(DB, key, 1) == SYNA_ERR_KEY_TOO_LONG);
    CHECK(syna_get_kind(DB, key) == SYNA_ERR_KEY_TOO_LONG);
    CHECK(syna_put_int(DB, key + 1, 1) > 0);
    CHECK(syna_get_kind(DB, key + 1) == SYNA_KIND_INT);
    free(key);
    CHECK(syna_put_int(DB, "", 1) == SYNA_ERR_EMPTY_KEY);
    CHECK(syna_put_int(DB, "\xff", 1) == SYNA_ERR_INVALID_PATH);
    CHECK(syna_put_text(DB, "t", "\xc3(") == SYNA_ERR_INVALID_PATH);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
}

static void rewrites_keep_what_they_say(void) {
    size_t len;
    const char* path = "rewritten.syna";
    CHECK_IS(syna_open(path), SYNA_SUCCESS);
    for (int i = 0; i < 100; i++) CHECK(syna_put_float_at(path, "k", i, i) > 0);
    double* before = syna_get_history_tensor(path, "k", &len);
    CHECK_IS(syna_optimize(path, 0), SYNA_SUCCESS);
    CHECK_IS(syna_optimize(path, 1), SYNA_SUCCESS);
    CHECK_IS(syna_retain(path, "*", 10, NULL), SYNA_SUCCESS);
    double* after = syna_get_history_tensor(path, "k", &len);
    CHECK(len == 10 && after[0] == 90);
    syna_free_tensor(after, len);
    int64_t since = 95;
    CHECK_IS(syna_retain(path, "k", 0, &since), SYNA_SUCCESS);
    after = syna_get_history_tensor(path, "k", &len);
    CHECK(len == 5 && after[0] == 95);
    syna_free_tensor(after, len);
    CHECK_IS(syna_compact(path), SYNA_SUCCESS);
    after = syna_get_history_tensor(path, "k", &len);
    CHECK(len == 1 && after[0] == 99);
    syna_free_tensor(after, len);
    CHECK_IS(syna_flush(path), SYNA_SUCCESS);
    CHECK_IS(syna_sync(path), SYNA_SUCCESS);
    CHECK_IS(syna_refresh(path), SYNA_SUCCESS);
    CHECK_IS(syna_verify(path), SYNA_SUCCESS);
    CHECK_IS(syna_backup(path, "backup.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_backup(path, "backup.syna"), SYNA_ERR_ALREADY_EXISTS);
    CHECK_IS(syna_close(path), SYNA_SUCCESS);
    CHECK(before[99] == 99);
    syna_free_tensor(before, 100);
    CHECK_IS(syna_salvage("backup.syna", "salvaged.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_open_read_only("salvaged.syna"), SYNA_SUCCESS);
    double real;
    CHECK_IS(syna_get_float("salvaged.syna", "k", &real), SYNA_SUCCESS);
    CHECK(real == 99 && syna_put_int("salvaged.syna", "k", 1) == SYNA_ERR_READ_ONLY);
    CHECK_IS(syna_close("salvaged.syna"), SYNA_SUCCESS);
}

static void options_are_understood(void) {
    struct syna_options options;
    memset(&options, 0, sizeof options);
    CHECK_IS(syna_open_with_config("options.syna", &options), SYNA_ERR_INVALID_ARGUMENT);
    options.struct_size = sizeof options;
    options.create = SYNA_CREATE_NEVER;
    CHECK_IS(syna_open_with_config("options.syna", &options), SYNA_ERR_FILE_NOT_FOUND);
    options.create = SYNA_CREATE_NEW;
    options.durability = SYNA_DURABILITY_BUFFERED;
    options.enable_delta = SYNA_OFF;
    options.column_cache_bytes = SYNA_NONE;
    CHECK_IS(syna_open_with_config("options.syna", &options), SYNA_SUCCESS);
    CHECK_IS(syna_open("options.syna"), SYNA_ERR_OPTIONS_CONFLICT);
    CHECK_IS(syna_close("options.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_open_with_config("options.syna", &options), SYNA_ERR_ALREADY_EXISTS);
    options.read_only = SYNA_ON;
    options.create = 0;
    CHECK_IS(syna_open_with_config("options.syna", &options), SYNA_SUCCESS);
    CHECK(syna_put_int("options.syna", "k", 1) == SYNA_ERR_READ_ONLY);
    CHECK_IS(syna_close("options.syna"), SYNA_SUCCESS);
    options.read_only = 3;
    CHECK_IS(syna_open_with_config("options.syna", &options), SYNA_ERR_INVALID_ARGUMENT);

    /* An older program's struct is shorter; a newer one's is longer and zero where it may be. */
    struct {
        struct syna_options known;
        uint64_t unknown;
    } newer;
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    CHECK_IS(syna_open_with_config("options.syna", &newer.known), SYNA_SUCCESS);
    newer.unknown = 1;
    CHECK_IS(syna_open_with_config("options.syna", &newer.known), SYNA_ERR_INVALID_ARGUMENT);
    CHECK_IS(syna_close("options.syna"), SYNA_SUCCESS);
    size_t oldest = sizeof(size_t);
    CHECK_IS(syna_open_with_config("options.syna", (const struct syna_options*)(const void*)&oldest),
             SYNA_SUCCESS);
    CHECK_IS(syna_close("options.syna"), SYNA_SUCCESS);
}

static void names_and_versions(void) {
    CHECK(!strcmp(syna_error_name(SYNA_ERR_CORRUPT), "SYNA_ERR_CORRUPT"));
    CHECK(!strcmp(syna_error_name(SYNA_ERR_INTERNAL_PANIC), "SYNA_ERR_INTERNAL_PANIC"));
    CHECK(!strcmp(syna_error_name(12345), "unknown"));
    CHECK(syna_abi_version() == SYNA_ABI_VERSION);
    CHECK(strchr(syna_version(), '.'));
    CHECK(ERR_SUCCESS == 1 && ERR_GENERIC == 0 && ERR_DB_NOT_FOUND == -1 && ERR_INVALID_PATH == -2);
    CHECK(ERR_IO == -3 && ERR_SERIALIZATION == -4 && ERR_KEY_NOT_FOUND == -5);
    CHECK(ERR_TYPE_MISMATCH == -6 && ERR_INTERNAL_PANIC == -100);
    CHECK(SYNA_ERR_EMPTY_KEY == -7 && SYNA_ERR_KEY_TOO_LONG == -8);
}

int main(void) {
    CHECK(syna_last_error() == SYNA_SUCCESS && !*syna_last_error_message());
    values_come_back();
    values_as_of_a_time();
    histories_are_tensors();
    keys_are_one_block();
    wrong_frees_do_nothing();
    opens_are_counted_and_texts_bound();
    keys_have_limits();
    rewrites_keep_what_they_say();
    options_are_understood();
    names_and_versions();
    puts("classic: ok");
    return 0;
}
