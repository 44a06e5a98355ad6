/* Every function that the header declares, each with a way of calling it.
 *
 * `CALLS` says how each function is called with the arguments of a `struct context`. `call_and_check` calls one,
 * checks that whatever it answered its outputs were set and what it was handed was released, and gives back what
 * it gave. That no function is left out, statuses.rs sees. */
#ifndef CALLS_H
#define CALLS_H

#include <stdint.h>

/* A program that calls from several threads at once defines it as `__thread`: results are then each thread's own. */
#ifndef PER_THREAD
#define PER_THREAD
#endif

#include "check.h"

#include "arrow_producer.h"

/* Keys by what they hold: doubles, integers, a text, bytes, nulls, and doubles to delete. */
enum { F, I, T, B, N, F2, KEYS };
#define LARGE (128 * 1024) /* A text this long is read from the file. */

struct context {
    const char *path, *new_path, *close_path, *from, *to, *pattern, *text;
    const char* k[KEYS];
    size_t kl[KEYS], pattern_len, text_len, bytes_len, count, free_len, free_keys_len;
    const uint8_t* bytes;
    const double* reals;
    const int64_t *wholes, *stamps, *at;
    const struct syna_options* options;
    const struct syna_history_options* asked;
    struct syna_db *db, *close_db, **db_out;
    struct syna_series *series, *int_series, *close_series, **series_out;
    struct syna_snapshot *snapshot, *close_snapshot, **snapshot_out;
    double *real, **tensor_out, *free_tensor;
    int64_t *whole, **ints_out, **times, *free_ints, offset;
    size_t *len, **lengths;
    char **text_out, ***keys, *free_text, **free_keys;
    uint8_t **bytes_out, *free_bytes;
    struct ArrowArray* array;
    struct ArrowSchema* schema;
    struct ArrowArrayStream* stream;
    int32_t format, cold;
    uint64_t last;
    const struct syna_write_options* write;
    struct syna_written* written;
    struct ArrowArray* in_array;
    struct ArrowSchema* in_schema;
    struct ArrowArrayStream* in_stream;
    enum wrong wrong;
    const char* const* frame_keys;
    const size_t* frame_lengths;
    size_t frame_count;
    const struct syna_frame_options* framed;
};

/* What is handed in, made anew for every call. */
static PER_THREAD struct {
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    struct syna_written written;
} in;

/* Where results go. */
static PER_THREAD struct {
    struct syna_db* db;
    struct syna_series* series;
    struct syna_snapshot* snapshot;
    double real, *tensor;
    int64_t whole, *ints, *times;
    size_t len, *lengths;
    char *text, **keys;
    uint8_t* bytes;
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
} out;

static int64_t five = 5;

#define CALLS \
    CALL(syna_open, syna_open(c->new_path)) \
    CALL(syna_open_with_config, syna_open_with_config(c->new_path, c->options)) \
    CALL(syna_open_read_only, syna_open_read_only(c->new_path)) \
    CALL(syna_db_open, syna_db_open(c->new_path, c->options, c->db_out)) \
    CALL(syna_put_float, syna_put_float(c->path, c->k[F], 1)) \
    CALL(syna_put_int, syna_put_int(c->path, c->k[I], 1)) \
    CALL(syna_put_text, syna_put_text(c->path, c->k[T], c->text)) \
    CALL(syna_put_bytes, syna_put_bytes(c->path, c->k[B], c->bytes, c->bytes_len)) \
    CALL(syna_put_null, syna_put_null(c->path, c->k[N])) \
    CALL(syna_put_float_at, syna_put_float_at(c->path, c->k[F], 5, 1)) \
    CALL(syna_put_int_at, syna_put_int_at(c->path, c->k[I], 5, 1)) \
    CALL(syna_put_text_at, syna_put_text_at(c->path, c->k[T], 5, c->text)) \
    CALL(syna_put_bytes_at, syna_put_bytes_at(c->path, c->k[B], 5, c->bytes, c->bytes_len)) \
    CALL(syna_put_null_at, syna_put_null_at(c->path, c->k[N], 5)) \
    CALL(syna_put_floats_batch, syna_put_floats_batch(c->path, c->k[F], c->reals, c->count)) \
    CALL(syna_put_ints_batch, syna_put_ints_batch(c->path, c->k[I], c->wholes, c->count)) \
    CALL(syna_put_floats_batch_at, syna_put_floats_batch_at(c->path, c->k[F], c->stamps, c->reals, c->count)) \
    CALL(syna_put_ints_batch_at, syna_put_ints_batch_at(c->path, c->k[I], c->stamps, c->wholes, c->count)) \
    CALL(syna_get_float, syna_get_float(c->path, c->k[F], c->real)) \
    CALL(syna_get_int, syna_get_int(c->path, c->k[I], c->whole)) \
    CALL(syna_get_text, out.text = syna_get_text(c->path, c->k[T], c->len)) \
    CALL(syna_get_bytes, out.bytes = syna_get_bytes(c->path, c->k[B], c->len)) \
    CALL(syna_get_float_at, syna_get_float_at(c->path, c->k[F], INT64_MAX, c->real)) \
    CALL(syna_get_int_at, syna_get_int_at(c->path, c->k[I], INT64_MAX, c->whole)) \
    CALL(syna_get_text_at, out.text = syna_get_text_at(c->path, c->k[T], INT64_MAX, c->len)) \
    CALL(syna_get_bytes_at, out.bytes = syna_get_bytes_at(c->path, c->k[B], INT64_MAX, c->len)) \
    CALL(syna_get_kind, syna_get_kind(c->path, c->k[T])) \
    CALL(syna_exists, syna_exists(c->path, c->k[F])) \
    CALL(syna_keys, out.keys = syna_keys(c->path, c->len)) \
    CALL(syna_keys_with_lengths, syna_keys_with_lengths(c->path, c->pattern, c->keys, c->lengths, c->len)) \
    CALL(syna_get_history_tensor, out.tensor = syna_get_history_tensor(c->path, c->k[F], c->len)) \
    CALL(syna_get_history_tensor_int, out.ints = syna_get_history_tensor_int(c->path, c->k[I], c->len)) \
    CALL(syna_get_history_tensor_timed, out.tensor = syna_get_history_tensor_timed(c->path, c->k[F], c->times, c->len)) \
    CALL(syna_get_history_tensor_int_timed, out.ints = syna_get_history_tensor_int_timed(c->path, c->k[I], c->times, c->len)) \
    CALL(syna_history_export, syna_history_export(c->path, c->k[F], c->asked, c->array, c->schema)) \
    CALL(syna_history_stream, syna_history_stream(c->path, c->k[F], c->asked, c->stream)) \
    CALL(syna_history_ipc, out.bytes = syna_history_ipc(c->path, c->k[F], c->asked, c->format, c->len)) \
    CALL(syna_flush, syna_flush(c->path)) \
    CALL(syna_sync, syna_sync(c->path)) \
    CALL(syna_refresh, syna_refresh(c->path)) \
    CALL(syna_verify, syna_verify(c->path)) \
    CALL(syna_compact, syna_compact(c->path)) \
    CALL(syna_optimize, syna_optimize(c->path, c->cold)) \
    CALL(syna_retain, syna_retain(c->path, c->pattern, c->last, NULL)) \
    CALL(syna_backup, syna_backup(c->path, c->to)) \
    CALL(syna_db_flush, syna_db_flush(c->db)) \
    CALL(syna_db_sync, syna_db_sync(c->db)) \
    CALL(syna_db_refresh, syna_db_refresh(c->db)) \
    CALL(syna_db_verify, syna_db_verify(c->db)) \
    CALL(syna_db_compact, syna_db_compact(c->db)) \
    CALL(syna_db_optimize, syna_db_optimize(c->db, c->cold)) \
    CALL(syna_db_retain, syna_db_retain(c->db, c->pattern, c->last, NULL)) \
    CALL(syna_db_backup, syna_db_backup(c->db, c->to)) \
    CALL(syna_delete, syna_delete(c->path, c->k[N])) \
    CALL(syna_db_delete, syna_db_delete(c->db, c->k[F2], c->kl[F2])) \
    CALL(syna_db_put_float, syna_db_put_float(c->db, c->k[F], c->kl[F], NULL, 1)) \
    CALL(syna_db_put_int, syna_db_put_int(c->db, c->k[I], c->kl[I], &five, 1)) \
    CALL(syna_db_put_text, syna_db_put_text(c->db, c->k[T], c->kl[T], NULL, c->text, c->text_len)) \
    CALL(syna_db_put_bytes, syna_db_put_bytes(c->db, c->k[B], c->kl[B], NULL, c->bytes, c->bytes_len)) \
    CALL(syna_db_put_null, syna_db_put_null(c->db, c->k[N], c->kl[N], NULL)) \
    CALL(syna_db_put_floats, syna_db_put_floats(c->db, c->k[F], c->kl[F], c->stamps, c->reals, c->count)) \
    CALL(syna_db_put_ints, syna_db_put_ints(c->db, c->k[I], c->kl[I], NULL, c->wholes, c->count)) \
    CALL(syna_write_stream, syna_write_stream(c->path, c->write, c->in_stream, c->written)) \
    CALL(syna_write_array, syna_write_array(c->path, c->write, c->in_array, c->in_schema, c->written)) \
    CALL(syna_db_write_stream, syna_db_write_stream(c->db, c->write, c->in_stream, c->written)) \
    CALL(syna_db_write_array, syna_db_write_array(c->db, c->write, c->in_array, c->in_schema, c->written)) \
    CALL(syna_write_wide_stream, syna_write_wide_stream(c->path, c->write, c->in_stream, c->written)) \
    CALL(syna_write_wide_array, syna_write_wide_array(c->path, c->write, c->in_array, c->in_schema, c->written)) \
    CALL(syna_db_write_wide_stream, syna_db_write_wide_stream(c->db, c->write, c->in_stream, c->written)) \
    CALL(syna_db_write_wide_array, syna_db_write_wide_array(c->db, c->write, c->in_array, c->in_schema, c->written)) \
    CALL(syna_scan_export, syna_scan_export(c->path, c->pattern, c->asked, c->array, c->schema)) \
    CALL(syna_scan_stream, syna_scan_stream(c->path, c->pattern, c->asked, c->stream)) \
    CALL(syna_frame_export, syna_frame_export(c->path, c->frame_keys, c->frame_lengths, c->frame_count, c->framed, c->array, c->schema)) \
    CALL(syna_frame_stream, syna_frame_stream(c->path, c->frame_keys, c->frame_lengths, c->frame_count, c->framed, c->stream)) \
    CALL(syna_db_scan_export, syna_db_scan_export(c->db, c->pattern, c->pattern_len, c->asked, c->array, c->schema)) \
    CALL(syna_db_scan_stream, syna_db_scan_stream(c->db, c->pattern, c->pattern_len, c->asked, c->stream)) \
    CALL(syna_db_frame_export, syna_db_frame_export(c->db, c->frame_keys, c->frame_lengths, c->frame_count, c->framed, c->array, c->schema)) \
    CALL(syna_db_frame_stream, syna_db_frame_stream(c->db, c->frame_keys, c->frame_lengths, c->frame_count, c->framed, c->stream)) \
    CALL(syna_snapshot_scan_export, syna_snapshot_scan_export(c->snapshot, c->pattern, c->pattern_len, c->asked, c->array, c->schema)) \
    CALL(syna_snapshot_scan_stream, syna_snapshot_scan_stream(c->snapshot, c->pattern, c->pattern_len, c->asked, c->stream)) \
    CALL(syna_snapshot_frame_export, syna_snapshot_frame_export(c->snapshot, c->frame_keys, c->frame_lengths, c->frame_count, c->framed, c->array, c->schema)) \
    CALL(syna_snapshot_frame_stream, syna_snapshot_frame_stream(c->snapshot, c->frame_keys, c->frame_lengths, c->frame_count, c->framed, c->stream)) \
    CALL(syna_db_wait_durable, syna_db_wait_durable(c->db, c->offset)) \
    CALL(syna_db_get_float, syna_db_get_float(c->db, c->k[F], c->kl[F], c->at, c->real)) \
    CALL(syna_db_get_int, syna_db_get_int(c->db, c->k[I], c->kl[I], c->at, c->whole)) \
    CALL(syna_db_get_text, syna_db_get_text(c->db, c->k[T], c->kl[T], c->at, c->text_out, c->len)) \
    CALL(syna_db_get_bytes, syna_db_get_bytes(c->db, c->k[B], c->kl[B], c->at, c->bytes_out, c->len)) \
    CALL(syna_db_get_kind, syna_db_get_kind(c->db, c->k[T], c->kl[T], c->at)) \
    CALL(syna_db_exists, syna_db_exists(c->db, c->k[F], c->kl[F])) \
    CALL(syna_db_keys, syna_db_keys(c->db, c->pattern, c->pattern_len, c->keys, c->lengths, c->len)) \
    CALL(syna_db_get_tensor, syna_db_get_tensor(c->db, c->k[F], c->kl[F], c->times, c->tensor_out, c->len)) \
    CALL(syna_db_get_tensor_int, syna_db_get_tensor_int(c->db, c->k[I], c->kl[I], c->times, c->ints_out, c->len)) \
    CALL(syna_db_history_export, syna_db_history_export(c->db, c->k[F], c->kl[F], c->asked, c->array, c->schema)) \
    CALL(syna_db_history_stream, syna_db_history_stream(c->db, c->k[F], c->kl[F], c->asked, c->stream)) \
    CALL(syna_db_history_ipc, syna_db_history_ipc(c->db, c->k[F], c->kl[F], c->asked, c->format, c->bytes_out, c->len)) \
    CALL(syna_snapshot_get_float, syna_snapshot_get_float(c->snapshot, c->k[F], c->kl[F], c->at, c->real)) \
    CALL(syna_snapshot_get_int, syna_snapshot_get_int(c->snapshot, c->k[I], c->kl[I], c->at, c->whole)) \
    CALL(syna_snapshot_get_text, syna_snapshot_get_text(c->snapshot, c->k[T], c->kl[T], c->at, c->text_out, c->len)) \
    CALL(syna_snapshot_get_bytes, syna_snapshot_get_bytes(c->snapshot, c->k[B], c->kl[B], c->at, c->bytes_out, c->len)) \
    CALL(syna_snapshot_get_kind, syna_snapshot_get_kind(c->snapshot, c->k[T], c->kl[T], c->at)) \
    CALL(syna_snapshot_exists, syna_snapshot_exists(c->snapshot, c->k[F], c->kl[F])) \
    CALL(syna_snapshot_keys, syna_snapshot_keys(c->snapshot, c->pattern, c->pattern_len, c->keys, c->lengths, c->len)) \
    CALL(syna_snapshot_get_tensor, syna_snapshot_get_tensor(c->snapshot, c->k[F], c->kl[F], c->times, c->tensor_out, c->len)) \
    CALL(syna_snapshot_get_tensor_int, syna_snapshot_get_tensor_int(c->snapshot, c->k[I], c->kl[I], c->times, c->ints_out, c->len)) \
    CALL(syna_snapshot_history_export, syna_snapshot_history_export(c->snapshot, c->k[F], c->kl[F], c->asked, c->array, c->schema)) \
    CALL(syna_snapshot_history_stream, syna_snapshot_history_stream(c->snapshot, c->k[F], c->kl[F], c->asked, c->stream)) \
    CALL(syna_snapshot_history_ipc, syna_snapshot_history_ipc(c->snapshot, c->k[F], c->kl[F], c->asked, c->format, c->bytes_out, c->len)) \
    CALL(syna_snapshot_take, syna_snapshot_take(c->db, c->snapshot_out)) \
    CALL(syna_series_open, syna_series_open(c->db, c->k[F], c->kl[F], c->series_out)) \
    CALL(syna_series_put_float, syna_series_put_float(c->series, NULL, 1)) \
    CALL(syna_series_put_int, syna_series_put_int(c->int_series, &five, 1)) \
    CALL(syna_series_get_float, syna_series_get_float(c->series, c->real)) \
    CALL(syna_series_get_int, syna_series_get_int(c->int_series, c->whole)) \
    CALL(syna_salvage, syna_salvage(c->from, c->to)) \
    CALL(syna_free_text, syna_free_text(c->free_text, 4)) \
    CALL(syna_free_bytes, syna_free_bytes(c->free_bytes, 4)) \
    CALL(syna_free_tensor, syna_free_tensor(c->free_tensor, c->free_len)) \
    CALL(syna_free_tensor_int, syna_free_tensor_int(c->free_ints, c->free_len)) \
    CALL(syna_free_keys, syna_free_keys(c->free_keys, c->free_keys_len)) \
    CALL(syna_series_close, syna_series_close(c->close_series)) \
    CALL(syna_snapshot_release, syna_snapshot_release(c->close_snapshot)) \
    CALL(syna_db_close, syna_db_close(c->close_db)) \
    CALL(syna_close, syna_close(c->close_path))

#define CALL(name, expression) \
    static void run_##name(const struct context* c) { (void)c, (void)(expression); }
CALLS
#undef CALL

struct call {
    const char* name;
    void (*run)(const struct context*);
};
#define CALL(name, expression) {#name, run_##name},
static const struct call calls[] = {CALLS};
#undef CALL
enum { CALL_COUNT = sizeof calls / sizeof *calls };

/* Calls one function; checks that its outputs were set, frees what it gave, returns its status. */
static int32_t call_and_check(const struct call* call, const struct context* c) {
    memset(&out, 0, sizeof out);
    /* What no function may leave as it is on errors. */
    out.real = 7, out.whole = 7, out.len = 7;
    memset(&out.array, 0x55, sizeof out.array);
    memset(&out.schema, 0x55, sizeof out.schema);
    memset(&out.stream, 0x55, sizeof out.stream);
    int writes = strstr(call->name, "_write_") != NULL, wide = strstr(call->name, "_wide_") != NULL;
    int moved = 0, array_in = writes && strstr(call->name, "_array") && c->in_array && c->in_schema;
    int stream_in = writes && strstr(call->name, "_stream") && c->in_stream;
    memset(&in, 0, sizeof in);
    in.written.points = 7;
    if (array_in) make_array(&in.array, wide, c->wrong), make_schema(&in.schema, wide, c->wrong);
    if (stream_in)
        make_stream(&in.stream, (struct produced){.batches = 1, .wide = wide, .wrong = c->wrong});
    arrays_released = schemas_released = streams_released = 0;
    call->run(c);
    int32_t status = syna_last_error();
    /* What was taken over was released, once, whatever came of it. */
    moved = arrays_released == 1 && schemas_released == 1 && !in.array.release && !in.schema.release;
    if (array_in && status != SYNA_ERR_INTERNAL_PANIC) CHECK(moved);
    if (stream_in && status != SYNA_ERR_INTERNAL_PANIC)
        CHECK(streams_released == 1 && !in.stream.release);
    if (writes && c->written) CHECK(status == SYNA_SUCCESS || in.written.points == 0);
    if (array_in || stream_in) CHECK(!in.array.release && !in.stream.release);
    int makes_array = strstr(call->name, "_export") != NULL;
    int makes_stream = strstr(call->name, "_stream") != NULL && !writes;
    int takes_len = strstr(call->name, "_text") || strstr(call->name, "_bytes") ||
                    strstr(call->name, "_tensor") || strstr(call->name, "_ipc") ||
                    strstr(call->name, "_keys");
    int is_getter = strstr(call->name, "_get_") || takes_len;
    if (strstr(call->name, "_put_") || strstr(call->name, "_free_")) is_getter = takes_len = 0;
    if (status != SYNA_SUCCESS) {
        CHECK(*syna_last_error_message());
        CHECK(!out.text && !out.bytes && !out.tensor && !out.ints && !out.times && !out.keys);
        CHECK(!out.lengths && !out.db && !out.series && !out.snapshot);
        if (is_getter && takes_len && c->len) CHECK(out.len == 0);
        if (is_getter && strstr(call->name, "_float") && c->real) CHECK(out.real == 0);
        if (is_getter && strstr(call->name, "get_int") && c->whole) CHECK(out.whole == 0);
        if (makes_array && c->array) CHECK(!out.array.release);
        if (makes_array && c->schema) CHECK(!out.schema.release);
        if (makes_stream && c->stream) CHECK(!out.stream.release);
    } else {
        if (makes_array) out.array.release(&out.array), out.schema.release(&out.schema);
        if (makes_stream) out.stream.release(&out.stream);
        if (out.text) syna_free_text(out.text, out.len);
        if (out.bytes) syna_free_bytes(out.bytes, out.len);
        if (out.tensor) syna_free_tensor(out.tensor, out.len);
        if (out.ints) syna_free_tensor_int(out.ints, out.len);
        if (out.times) syna_free_tensor_int(out.times, out.len);
        if (out.keys) syna_free_keys(out.keys, out.len);
        if (out.series) syna_series_close(out.series);
        if (out.snapshot) syna_snapshot_release(out.snapshot);
        if (out.db) syna_db_close(out.db);
        CHECK(strstr(call->name, "_free_") || syna_last_error() == SYNA_SUCCESS);
    }
    return status;
}

static struct syna_options os_options = {.struct_size = sizeof os_options,
                                         .durability = SYNA_DURABILITY_OS};
static struct syna_options plain_options = {.struct_size = sizeof plain_options};
static char large_text[LARGE + 1];
static double reals[100];
static int64_t wholes[100];

static const char* const frame_keys[] = {"f", "i"};
static const size_t frame_lengths[] = {1, 1};

/* A context in which all is well. Nothing that lasts: what ends things gets things of its own. */
static struct context sound(const char* path) {
    struct context c;
    memset(&c, 0, sizeof c);
    c.path = path;
    c.new_path = "opened.syna";
    c.close_path = "never opened";
    c.from = path;
    c.to = path;
    c.pattern = "*";
    c.pattern_len = 1;
    c.text = large_text;
    c.text_len = LARGE;
    const char* names[KEYS] = {"f", "i", "t", "b", "n", "f2"};
    for (int i = 0; i < KEYS; i++) c.k[i] = names[i], c.kl[i] = strlen(names[i]);
    c.bytes = (const uint8_t*)large_text;
    c.bytes_len = LARGE;
    c.reals = reals, c.wholes = wholes, c.stamps = wholes, c.count = 100;
    c.options = &plain_options;
    c.db_out = &out.db, c.series_out = &out.series, c.snapshot_out = &out.snapshot;
    c.real = &out.real, c.whole = &out.whole, c.len = &out.len, c.lengths = &out.lengths;
    c.text_out = &out.text, c.keys = &out.keys, c.bytes_out = &out.bytes;
    c.tensor_out = &out.tensor, c.ints_out = &out.ints, c.times = &out.times;
    c.array = &out.array, c.schema = &out.schema, c.stream = &out.stream;
    c.format = SYNA_IPC_STREAM;
    c.last = 1000000;
    c.free_len = 100, c.free_keys_len = 1;
    c.written = &in.written;
    c.in_array = &in.array, c.in_schema = &in.schema, c.in_stream = &in.stream;
    c.frame_keys = frame_keys, c.frame_lengths = frame_lengths, c.frame_count = 2;
    return c;
}

#endif
