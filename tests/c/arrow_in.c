/* Arrow in: what producers hand over is moved, written, and released once, whatever comes of it;
 * scans and frames go out and in again. */
#include <stdint.h>

#include "check.h"

#include "arrow_producer.h"

#define DB "in.syna"

static void batches_are_moved_and_written(struct syna_db* db) {
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct syna_written written;
    make_array(&array, 0, NOTHING), make_schema(&schema, 0, NOTHING);
    CHECK_IS(syna_write_array(DB, NULL, &array, &schema, &written), SYNA_SUCCESS);
    CHECK(!array.release && !schema.release && arrays_released == 1 && schemas_released == 1);
    CHECK(written.points == 3 && written.rows == 3 && written.commits == 1 && written.offset > 0);
    CHECK_IS(syna_db_wait_durable(db, (int64_t)written.offset), SYNA_SUCCESS);
    double real;
    int64_t at = 10, whole;
    CHECK_IS(syna_get_float(DB, "k1", &real), SYNA_SUCCESS);
    CHECK(real == 3.5);
    CHECK_IS(syna_db_get_float(db, "k1", 2, &at, &real), SYNA_SUCCESS);
    CHECK(real == 1.5);

    struct syna_write_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.prefix = "wide/";
    make_array(&array, 1, NOTHING), make_schema(&schema, 1, NOTHING);
    CHECK_IS(syna_db_write_wide_array(db, &options, &array, &schema, NULL), SYNA_SUCCESS);
    CHECK(!array.release && !schema.release && arrays_released == 2 && schemas_released == 2);
    CHECK_IS(syna_get_int(DB, "wide/wb", &whole), SYNA_SUCCESS);
    CHECK(whole == 3);

    struct ArrowArrayStream stream;
    make_stream(&stream, (struct produced){.batches = 4});
    CHECK_IS(syna_db_write_stream(db, NULL, &stream, &written), SYNA_SUCCESS);
    CHECK(!stream.release && streams_released == 1 && arrays_released == 6);
    CHECK(written.points == 12 && written.commits == 4);
    options.atomic = SYNA_ON;
    make_stream(&stream, (struct produced){.batches = 4, .wide = 1});
    CHECK_IS(syna_write_wide_stream(DB, &options, &stream, &written), SYNA_SUCCESS);
    CHECK(streams_released == 2 && written.points == 24 && written.commits == 1);
}

/* One thing after the other is wrong; nothing is written, everything is released once. */
static void what_is_wrong_is_refused_and_released(struct syna_db* db) {
    const struct {
        enum wrong wrong;
        int32_t status;
    } faults[] = {
        {NO_COLUMN, SYNA_ERR_INVALID_DATA},       {NULL_ROW, SYNA_ERR_SERIALIZATION},
        {BAD_FORMAT, SYNA_ERR_SERIALIZATION},     {BAD_OFFSETS, SYNA_ERR_SERIALIZATION},
        {FEWER_CHILDREN, SYNA_ERR_SERIALIZATION},
    };
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    struct syna_written written;
    size_t before, after;
    double* tensor = syna_get_history_tensor(DB, "k1", &before);
    syna_free_tensor(tensor, before);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int arrays = arrays_released, schemas = schemas_released, streams = streams_released;
        make_array(&array, 0, faults[i].wrong), make_schema(&schema, 0, faults[i].wrong);
        memset(&written, 0x55, sizeof written);
        CHECK_IS(syna_db_write_array(db, NULL, &array, &schema, &written), faults[i].status);
        CHECK(!array.release && !schema.release && written.points == 0 && written.offset == 0);
        CHECK(arrays_released == arrays + 1 && schemas_released == schemas + 1);
        make_stream(&stream, (struct produced){.batches = 2, .wrong = faults[i].wrong});
        CHECK_IS(syna_db_write_stream(db, NULL, &stream, &written), faults[i].status);
        CHECK(!stream.release && streams_released == streams + 1);
    }
    /* A database that is not there, arguments that are none: moved and released all the same. */
    int arrays = arrays_released, schemas = schemas_released, streams = streams_released;
    make_array(&array, 0, NOTHING), make_schema(&schema, 0, NOTHING);
    CHECK_IS(syna_write_array("not open", NULL, &array, &schema, NULL), SYNA_ERR_DB_NOT_FOUND);
    CHECK(!array.release && arrays_released == arrays + 1 && schemas_released == schemas + 1);
    make_stream(&stream, (struct produced){.batches = 1});
    CHECK_IS(syna_db_write_stream(NULL, NULL, &stream, NULL), SYNA_ERR_INVALID_ARGUMENT);
    CHECK(!stream.release && streams_released == streams + 1);
    /* Only NULL and what was released already are left as they are. */
    CHECK_IS(syna_db_write_stream(db, NULL, &stream, NULL), SYNA_ERR_INVALID_ARGUMENT);
    CHECK_IS(syna_db_write_stream(db, NULL, NULL, NULL), SYNA_ERR_INVALID_ARGUMENT);
    make_array(&array, 0, NOTHING);
    CHECK_IS(syna_db_write_array(db, NULL, &array, &schema, NULL), SYNA_ERR_INVALID_ARGUMENT);
    CHECK(array.release && arrays_released == arrays + 1);
    CHECK_IS(syna_db_write_array(db, NULL, &array, NULL, NULL), SYNA_ERR_INVALID_ARGUMENT);
    array.release(&array);

    tensor = syna_get_history_tensor(DB, "k1", &after);
    syna_free_tensor(tensor, after);
    CHECK(before == after);
    /* A producer that fails in the middle, with and without words: what was committed stays. */
    make_stream(&stream, (struct produced){.batches = 3, .fails_at = 1});
    CHECK_IS(syna_db_write_stream(db, NULL, &stream, &written), SYNA_ERR_SERIALIZATION);
    CHECK(strstr(syna_last_error_message(), "the producer has no more"));
    CHECK(strstr(syna_last_error_message(), "6 rows"));
    make_stream(&stream, (struct produced){.batches = 3, .fails_at = 3, .is_silent = 1});
    CHECK_IS(syna_db_write_stream(db, NULL, &stream, &written), SYNA_ERR_SERIALIZATION);
    tensor = syna_get_history_tensor(DB, "k1", &after);
    syna_free_tensor(tensor, after);
    CHECK(after == before + 4);
}

static int64_t rows_of(struct ArrowArrayStream* stream) {
    struct ArrowArray batch;
    int64_t rows = 0;
    for (;;) {
        CHECK(stream->get_next(stream, &batch) == 0);
        if (!batch.release) break;
        rows += batch.length;
        batch.release(&batch);
    }
    stream->release(stream);
    return rows;
}

static void scans_and_frames_go_out_and_in(struct syna_db* db) {
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    struct syna_db* copy;
    struct syna_snapshot* snapshot;
    CHECK_IS(syna_db_scan_export(db, "k*", 2, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK(array.length > 10 && !strcmp(schema.children[0]->name, "key"));
    CHECK(schema.children[0]->dictionary && array.children[0]->dictionary->length == 2);
    int64_t rows = array.length;
    CHECK_IS(syna_db_open("copy in.syna", NULL, &copy), SYNA_SUCCESS);
    struct syna_written written;
    CHECK_IS(syna_db_write_array(copy, NULL, &array, &schema, &written), SYNA_SUCCESS);
    CHECK((int64_t)written.points == rows);
    CHECK_IS(syna_scan_stream(DB, "*", NULL, &stream), SYNA_SUCCESS);
    CHECK_IS(syna_db_write_stream(copy, NULL, &stream, &written), SYNA_SUCCESS);
    CHECK(!stream.release);
    /* The same database reads and writes: no lock is held meanwhile. */
    CHECK_IS(syna_db_scan_stream(copy, "k1", 2, NULL, &stream), SYNA_SUCCESS);
    CHECK_IS(syna_db_write_stream(copy, NULL, &stream, NULL), SYNA_SUCCESS);
    CHECK_IS(syna_db_close(copy), SYNA_SUCCESS);

    CHECK_IS(syna_snapshot_take(db, &snapshot), SYNA_SUCCESS);
    CHECK_IS(syna_snapshot_scan_stream(snapshot, "k*", 2, NULL, &stream), SYNA_SUCCESS);
    CHECK(rows_of(&stream) == rows);
    CHECK_IS(syna_snapshot_scan_stream(snapshot, "none*", 5, NULL, &stream), SYNA_SUCCESS);
    CHECK(rows_of(&stream) == 0);

    const char* const keys[] = {"k1", "wide/wb"};
    const size_t lengths[] = {2, 7};
    CHECK_IS(syna_frame_export(DB, keys, NULL, 2, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK(schema.n_children == 3 && !strcmp(schema.children[1]->name, "k1"));
    CHECK(array.length == 3 && !strcmp(schema.children[2]->format, "l"));
    CHECK(((const int64_t*)array.children[2]->buffers[1])[array.children[2]->offset + 1] == 2);
    array.release(&array), schema.release(&schema);
    struct syna_frame_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.every = 5;
    options.align = SYNA_ALIGN_FORWARD;
    options.fill = SYNA_FILL_VALUE;
    options.fill_value = -1;
    options.by_tolerance = SYNA_ON;
    options.as_type = SYNA_AS_FLOAT;
    CHECK_IS(syna_snapshot_frame_export(snapshot, keys, lengths, 2, &options, &array, &schema),
             SYNA_SUCCESS);
    CHECK(array.length == 5 && !strcmp(schema.children[2]->format, "g"));
    const double* cells = (const double*)array.children[2]->buffers[1] + array.children[2]->offset;
    CHECK(cells[0] == 1 && cells[1] == -1 && cells[2] == 2);
    array.release(&array), schema.release(&schema);
    CHECK_IS(syna_db_frame_stream(db, keys, lengths, 2, &options, &stream), SYNA_SUCCESS);
    CHECK(rows_of(&stream) == 5);
    CHECK_IS(syna_snapshot_release(snapshot), SYNA_SUCCESS);
}

int main(void) {
    struct syna_db* db;
    CHECK_IS(syna_db_open(DB, NULL, &db), SYNA_SUCCESS);
    CHECK_IS(syna_open(DB), SYNA_SUCCESS);
    batches_are_moved_and_written(db);
    what_is_wrong_is_refused_and_released(db);
    scans_and_frames_go_out_and_in(db);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
    puts("arrow in: ok");
    return 0;
}
