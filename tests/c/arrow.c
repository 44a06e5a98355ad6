/* Histories by the Arrow C interfaces, used as the text of the specification says and by nothing
 * else; handles, series and snapshots on the way. */
#include <errno.h>
#include <stdint.h>

#include "check.h"

#define DB "arrow.syna"
enum { N = 20000 };
static double reals[N];
static int64_t stamps[N];

static struct syna_history_options all(void) {
    struct syna_history_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static void whole_histories(struct syna_db* db) {
    struct ArrowArray array, again;
    struct ArrowSchema schema, same;
    CHECK_IS(syna_db_history_export(db, "k", 1, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK(array.release && schema.release);
    CHECK(!strcmp(schema.format, "+s") && schema.n_children == 2 && array.n_children == 2);
    CHECK(!strcmp(schema.children[0]->name, "timestamp"));
    CHECK(!strcmp(schema.children[0]->format, "tsu:UTC"));
    CHECK(!(schema.children[0]->flags & ARROW_FLAG_NULLABLE));
    CHECK(!strcmp(schema.children[1]->name, "value") && !strcmp(schema.children[1]->format, "g"));
    CHECK(schema.children[1]->flags & ARROW_FLAG_NULLABLE);
    CHECK(array.length == N && array.null_count == 0 && array.offset == 0);
    const struct ArrowArray* values = array.children[1];
    CHECK(values->length == N && values->n_buffers == 2);
    CHECK((uintptr_t)values->buffers[1] % 64 == 0);
    CHECK(!memcmp((const double*)values->buffers[1] + values->offset, reals, sizeof reals));
    CHECK(!memcmp((const int64_t*)array.children[0]->buffers[1] + array.children[0]->offset, stamps,
                  sizeof stamps));
    /* From the second time on nothing is copied. */
    CHECK_IS(syna_history_export(DB, "k", NULL, &again, &same), SYNA_SUCCESS);
    CHECK(again.children[1]->buffers[1] == values->buffers[1]);

    /* Structs may be moved; a child may be moved out before its parent is released. */
    struct ArrowArray moved, child;
    memcpy(&moved, &array, sizeof moved);
    array.release = NULL;
    memcpy(&child, moved.children[1], sizeof child);
    moved.children[1]->release = NULL;
    moved.release(&moved);
    CHECK(moved.release == NULL);
    CHECK(((const double*)child.buffers[1])[child.offset + 7] == reals[7]);
    child.release(&child);
    CHECK(child.release == NULL);
    again.release(&again);
    schema.release(&schema);
    CHECK(schema.release == NULL);
    same.release(&same);

    /* On errors both are marked released. */
    memset(&array, 0x55, sizeof array);
    memset(&schema, 0x55, sizeof schema);
    CHECK_IS(syna_db_history_export(db, "absent", 6, NULL, &array, &schema),
             SYNA_ERR_KEY_NOT_FOUND);
    CHECK(!array.release && !schema.release);
    memset(&schema, 0x55, sizeof schema);
    CHECK_IS(syna_db_history_export(db, "k", 1, NULL, NULL, &schema), SYNA_ERR_INVALID_ARGUMENT);
    CHECK(!schema.release);
}

static void parts_of_histories(struct syna_db* db) {
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct syna_history_options options = all();
    options.by_time = SYNA_ON;
    options.time_start = 1000, options.time_end = 2000;
    CHECK_IS(syna_db_history_export(db, "k", 1, &options, &array, &schema), SYNA_SUCCESS);
    CHECK(array.length == 100);
    array.release(&array), schema.release(&schema);
    options.by_row = SYNA_ON;
    options.row_start = 110, options.row_end = 5000;
    options.last = 3;
    options.as_type = SYNA_AS_TEXT;
    CHECK_IS(syna_db_history_export(db, "k", 1, &options, &array, &schema), SYNA_SUCCESS);
    CHECK(array.length == 3 && !strcmp(schema.children[1]->format, "u"));
    array.release(&array), schema.release(&schema);
    options = all();
    options.as_type = SYNA_AS_INT;
    CHECK_IS(syna_db_history_export(db, "k", 1, &options, &array, &schema), SYNA_ERR_TYPE_MISMATCH);
    options.on_mismatch = SYNA_MISMATCH_SKIP;
    CHECK_IS(syna_db_history_export(db, "k", 1, &options, &array, &schema), SYNA_SUCCESS);
    CHECK(array.length == 0);
    array.release(&array), schema.release(&schema);
    options.as_type = 99;
    CHECK_IS(syna_db_history_export(db, "k", 1, &options, &array, &schema),
             SYNA_ERR_INVALID_ARGUMENT);
    CHECK_IS(syna_db_history_export(db, "mixed", 5, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK(schema.children[1]->n_children == 5 && schema.children[1]->children[0]->dictionary);
    CHECK(array.children[1]->children[0]->dictionary);
    array.release(&array), schema.release(&schema);
}

static void streams(struct syna_db* db) {
    struct ArrowArrayStream stream;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    int64_t rows = 0;
    CHECK_IS(syna_db_history_stream(db, "k", 1, NULL, &stream), SYNA_SUCCESS);
    CHECK(stream.get_schema(&stream, &schema) == 0);
    CHECK(schema.n_children == 2);
    schema.release(&schema);
    CHECK(stream.get_last_error(&stream) == NULL);
    for (;;) {
        memset(&batch, 0x55, sizeof batch);
        CHECK(stream.get_next(&stream, &batch) == 0);
        if (!batch.release) break;
        rows += batch.length;
        batch.release(&batch);
    }
    CHECK(rows == N);
    CHECK(stream.get_next(&stream, &batch) == 0 && !batch.release);
    CHECK(stream.get_next(&stream, NULL) == EINVAL && stream.get_last_error(&stream));
    stream.release(&stream);
    CHECK(!stream.release);

    memset(&stream, 0x55, sizeof stream);
    CHECK_IS(syna_db_history_stream(db, "", 0, NULL, &stream), SYNA_ERR_EMPTY_KEY);
    CHECK(!stream.release);
    CHECK_IS(syna_db_history_stream(db, "k", 1, NULL, NULL), SYNA_ERR_INVALID_ARGUMENT);
    CHECK_IS(syna_history_stream(DB, "k", NULL, &stream), SYNA_SUCCESS);
    stream.release(&stream);
}

static void bytes_of_ipc(struct syna_db* db) {
    size_t len;
    uint8_t* bytes = syna_history_ipc(DB, "k", NULL, SYNA_IPC_STREAM, &len);
    CHECK(bytes && len > 16 * N && !memcmp(bytes, "\xff\xff\xff\xff", 4));
    CHECK_SAYS(syna_free_bytes(bytes, len), SYNA_SUCCESS);
    CHECK_IS(syna_db_history_ipc(db, "k", 1, NULL, SYNA_IPC_FILE, &bytes, &len), SYNA_SUCCESS);
    CHECK(len > 16 * N && !memcmp(bytes, "ARROW1", 6) && !memcmp(bytes + len - 6, "ARROW1", 6));
    CHECK_SAYS(syna_free_bytes(bytes, len), SYNA_SUCCESS);
    CHECK_NULL(syna_history_ipc(DB, "k", NULL, 7, &len), SYNA_ERR_INVALID_ARGUMENT);
}

static void series_and_snapshots(struct syna_db* db) {
    struct syna_series* series;
    struct syna_snapshot* snapshot;
    double real;
    int64_t whole, at = 5;
    size_t len;
    CHECK_IS(syna_series_open(db, "s", 1, &series), SYNA_SUCCESS);
    CHECK_IS(syna_series_get_float(series, &real), SYNA_ERR_KEY_NOT_FOUND);
    CHECK(syna_series_put_float(series, &at, 1.5) > 0);
    CHECK_IS(syna_series_get_float(series, &real), SYNA_SUCCESS);
    CHECK(real == 1.5);
    CHECK_IS(syna_snapshot_take(db, &snapshot), SYNA_SUCCESS);
    CHECK(syna_series_put_int(series, NULL, 7) > 0);
    CHECK_IS(syna_series_get_int(series, &whole), SYNA_SUCCESS);
    CHECK(whole == 7);
    CHECK_IS(syna_series_get_float(series, &real), SYNA_ERR_TYPE_MISMATCH);
    CHECK(syna_db_put_text(db, "text", 4, NULL, "a\0b", 3) > 0);

    CHECK_IS(syna_snapshot_get_float(snapshot, "s", 1, NULL, &real), SYNA_SUCCESS);
    CHECK(real == 1.5);
    CHECK_IS(syna_snapshot_get_float(snapshot, "s", 1, &at, &real), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_get_int(snapshot, "s", 1, NULL, &whole), SYNA_ERR_TYPE_MISMATCH);
    CHECK(syna_snapshot_exists(snapshot, "text", 4) == 0 && syna_db_exists(db, "text", 4) == 1);
    CHECK(syna_snapshot_get_kind(snapshot, "s", 1, NULL) == SYNA_KIND_FLOAT);
    CHECK(syna_db_get_kind(db, "s", 1, NULL) == SYNA_KIND_INT);
    char* text;
    CHECK_IS(syna_db_get_text(db, "text", 4, NULL, &text, &len), SYNA_SUCCESS);
    CHECK(len == 3 && !memcmp(text, "a\0b", 4));
    syna_free_text(text, len);
    double* tensor;
    int64_t* times;
    CHECK_IS(syna_snapshot_get_tensor(snapshot, "k", 1, &times, &tensor, &len), SYNA_SUCCESS);
    CHECK(len == N && !memcmp(tensor, reals, sizeof reals) && !memcmp(times, stamps, sizeof stamps));
    syna_free_tensor(tensor, len);
    syna_free_tensor_int(times, len);
    CHECK_IS(syna_db_get_tensor(db, "k", 1, NULL, &tensor, &len), SYNA_SUCCESS);
    syna_free_tensor(tensor, len);
    char** keys;
    size_t* lengths;
    CHECK_IS(syna_snapshot_keys(snapshot, NULL, 0, &keys, &lengths, &len), SYNA_SUCCESS);
    CHECK(len == 3 && !strcmp(keys[0], "k") && !strcmp(keys[2], "s"));
    syna_free_keys(keys, len);
    struct ArrowArray array;
    struct ArrowSchema schema;
    CHECK_IS(syna_snapshot_history_export(snapshot, "s", 1, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK(array.length == 1);
    array.release(&array), schema.release(&schema);

    CHECK_IS(syna_snapshot_release(snapshot), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_release(snapshot), SYNA_ERR_CLOSED);
    CHECK_IS(syna_snapshot_get_float(snapshot, "s", 1, NULL, &real), SYNA_ERR_CLOSED);
    CHECK_IS(syna_series_close(series), SYNA_SUCCESS);
    CHECK_IS(syna_series_get_float(series, &real), SYNA_ERR_CLOSED);
    /* One kind of handle is no other. */
    CHECK_IS(syna_db_close((struct syna_db*)(void*)series), SYNA_ERR_INVALID_ARGUMENT);
    CHECK_IS(syna_snapshot_release((struct syna_snapshot*)(void*)db), SYNA_ERR_INVALID_ARGUMENT);
    CHECK_IS(syna_db_close((struct syna_db*)(void*)&real), SYNA_ERR_INVALID_ARGUMENT);
}

static void all_outlives_the_database(struct syna_db* db) {
    struct ArrowArray array, batch;
    struct ArrowSchema schema, of_stream;
    struct ArrowArrayStream stream;
    struct syna_series* series;
    struct syna_snapshot* snapshot;
    double real;
    double* tensor;
    size_t len;
    CHECK_IS(syna_db_history_export(db, "k", 1, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK_IS(syna_db_history_stream(db, "k", 1, NULL, &stream), SYNA_SUCCESS);
    CHECK_IS(syna_db_get_tensor(db, "k", 1, NULL, &tensor, &len), SYNA_SUCCESS);
    CHECK_IS(syna_series_open(db, "k", 1, &series), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_take(db, &snapshot), SYNA_SUCCESS);
    CHECK_IS(syna_db_compact(db), SYNA_SUCCESS);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
    CHECK_IS(syna_db_close(db), SYNA_ERR_CLOSED);
    CHECK(syna_db_put_float(db, "k", 1, NULL, 1) == SYNA_ERR_CLOSED);
    CHECK_IS(syna_series_get_float(series, &real), SYNA_ERR_CLOSED);
    CHECK_IS(syna_snapshot_get_float(snapshot, "k", 1, NULL, &real), SYNA_ERR_CLOSED);
    CHECK_IS(syna_series_close(series), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_release(snapshot), SYNA_SUCCESS);
    CHECK(remove(DB) == 0);
    CHECK(!memcmp((const double*)array.children[1]->buffers[1] + array.children[1]->offset, reals,
                  sizeof reals));
    CHECK(!memcmp(tensor, reals, sizeof reals));
    CHECK(stream.get_next(&stream, &batch) == EBADF && !batch.release);
    CHECK(strstr(stream.get_last_error(&stream), "closed"));
    CHECK(stream.get_schema(&stream, &of_stream) == 0);
    of_stream.release(&of_stream);
    stream.release(&stream);
    array.release(&array), schema.release(&schema);
    syna_free_tensor(tensor, len);
    CHECK(syna_last_error() == SYNA_SUCCESS);
}

int main(void) {
    struct syna_db* db;
    struct syna_options options;
    for (int i = 0; i < N; i++) reals[i] = i * 0.1, stamps[i] = i * 10;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.durability = SYNA_DURABILITY_OS;
    CHECK_IS(syna_db_open(DB, &options, &db), SYNA_SUCCESS);
    CHECK_IS(syna_open_with_config(DB, &options), SYNA_SUCCESS);
    CHECK(syna_db_put_floats(db, "k", 1, stamps, reals, N) > 0);
    CHECK(syna_db_put_float(db, "mixed", 5, NULL, 1) > 0);
    CHECK(syna_db_put_bytes(db, "mixed", 5, NULL, (const uint8_t*)"b", 1) > 0);
    CHECK(syna_db_put_null(db, "mixed", 5, NULL) > 0);
    whole_histories(db);
    parts_of_histories(db);
    streams(db);
    bytes_of_ipc(db);
    series_and_snapshots(db);
    all_outlives_the_database(db);
    puts("arrow: ok");
    return 0;
}
