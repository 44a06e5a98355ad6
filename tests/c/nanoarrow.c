/* nanoarrow on both sides: it reads and validates in full what leaves in every type, and what it builds comes
 * in, long and wide, as arrays and as streams. */
#include <errno.h>
#include <stdint.h>

#include "check.h"

/* Behind synadb.h here and before it in examples/c: the structs are the same either way. */
#include <nanoarrow/nanoarrow.h>

#define DB "nanoarrow.syna"
enum { N = 30000 };
static struct ArrowError error;

/* A call of nanoarrow's that must succeed. */
#define OK(call) \
    do { \
        if ((call) != NANOARROW_OK) check_failed(__FILE__, __LINE__, ArrowErrorMessage(&error)); \
    } while (0)

/* A table that is read. */
struct table {
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayView view;
};

/* Every buffer, offset, dictionary code and length is looked at. */
static void open_table(struct table* table) {
    OK(ArrowArrayViewInitFromSchema(&table->view, &table->schema, &error));
    OK(ArrowArrayViewSetArray(&table->view, &table->array, &error));
    OK(ArrowArrayViewValidate(&table->view, NANOARROW_VALIDATION_LEVEL_FULL, &error));
}

static void close_table(struct table* table) {
    ArrowArrayViewReset(&table->view);
    ArrowArrayRelease(&table->array);
    ArrowSchemaRelease(&table->schema);
}

static struct table history(struct syna_db* db, const char* key, int32_t as_type, uint64_t from) {
    struct table table;
    struct syna_history_options asked;
    memset(&asked, 0, sizeof asked);
    asked.struct_size = sizeof asked;
    asked.as_type = as_type;
    asked.by_row = SYNA_ON, asked.row_start = from, asked.row_end = UINT64_MAX;
    CHECK_IS(syna_db_history_export(db, key, strlen(key), &asked, &table.array, &table.schema),
             SYNA_SUCCESS);
    open_table(&table);
    return table;
}

static struct ArrowSchemaView column_type(const struct table* table, int column) {
    struct ArrowSchemaView type;
    OK(ArrowSchemaViewInit(&type, table->schema.children[column], &error));
    return type;
}

static void is_text(const struct ArrowArrayView* cells, int64_t row, const char* text) {
    struct ArrowStringView cell = ArrowArrayViewGetStringUnsafe(cells, row);
    CHECK(cell.size_bytes == (int64_t)strlen(text) && !memcmp(cell.data, text, strlen(text)));
}

static void histories_of_every_type_are_valid(struct syna_db* db) {
    static double reals[N];
    static int64_t wholes[N], stamps[N];
    for (int i = 0; i < N; i++) reals[i] = i * 0.25, wholes[i] = i * 3 - N, stamps[i] = i * 10;
    CHECK(syna_db_put_floats(db, "real", 4, stamps, reals, N) > 0);
    CHECK(syna_db_put_ints(db, "whole", 5, stamps, wholes, N) > 0);
    int64_t at = N * 10;
    CHECK(syna_db_put_null(db, "real", 4, &at) > 0 && syna_db_put_null(db, "nothing", 7, &at) > 0);
    for (int i = 0; i < 3; i++) {
        CHECK(syna_db_put_text(db, "text", 4, NULL, "three", (size_t)(5 - i)) > 0);
        CHECK(syna_db_put_bytes(db, "bytes", 5, NULL, (const uint8_t*)"\0\1\2", (size_t)i) > 0);
    }
    CHECK(syna_db_put_int(db, "mixed", 5, NULL, 7) > 0 && syna_db_put_text(db, "mixed", 5, NULL, "t", 1) > 0);
    CHECK(syna_db_put_null(db, "mixed", 5, NULL) > 0);

    for (uint64_t from = 0; from < 20000; from += 9999) { /* slices, too */
        struct table real = history(db, "real", SYNA_AS_NATURAL, from);
        struct ArrowSchemaView time = column_type(&real, 0), value = column_type(&real, 1);
        CHECK(time.type == NANOARROW_TYPE_TIMESTAMP && time.time_unit == NANOARROW_TIME_UNIT_MICRO);
        CHECK(!strcmp(time.timezone, "UTC") && value.type == NANOARROW_TYPE_DOUBLE);
        CHECK(!(real.schema.children[0]->flags & ARROW_FLAG_NULLABLE));
        int64_t rows = real.array.length;
        CHECK(rows == N + 1 - (int64_t)from);
        for (int64_t row = 0; row + 1 < rows; row++) {
            int64_t at_row = row + (int64_t)from;
            CHECK(ArrowArrayViewGetIntUnsafe(real.view.children[0], row) == stamps[at_row]);
            CHECK(ArrowArrayViewGetDoubleUnsafe(real.view.children[1], row) == reals[at_row]);
            CHECK(!ArrowArrayViewIsNull(real.view.children[1], row));
        }
        CHECK(ArrowArrayViewIsNull(real.view.children[1], rows - 1));
        CHECK(ArrowArrayViewComputeNullCount(real.view.children[1]) == 1);
        close_table(&real);
        struct table whole = history(db, "whole", SYNA_AS_NATURAL, from);
        CHECK(column_type(&whole, 1).type == NANOARROW_TYPE_INT64);
        for (int64_t row = 0; row < whole.array.length; row++)
            CHECK(ArrowArrayViewGetIntUnsafe(whole.view.children[1], row) == wholes[row + (int64_t)from]);
        close_table(&whole);
    }
    for (int64_t from = 0; from < 2; from++) {
        struct table text = history(db, "text", SYNA_AS_NATURAL, (uint64_t)from);
        CHECK(column_type(&text, 1).type == NANOARROW_TYPE_STRING && text.array.length == 3 - from);
        if (!from) is_text(text.view.children[1], 0, "three");
        is_text(text.view.children[1], 1 - from, "thre");
        close_table(&text);
        struct table bytes = history(db, "bytes", SYNA_AS_NATURAL, (uint64_t)from);
        CHECK(column_type(&bytes, 1).type == NANOARROW_TYPE_BINARY);
        struct ArrowBufferView cell = ArrowArrayViewGetBytesUnsafe(bytes.view.children[1], 2 - from);
        CHECK(cell.size_bytes == 2 && !memcmp(cell.data.data, "\0\1", 2));
        close_table(&bytes);
    }
    struct table mixed = history(db, "mixed", SYNA_AS_NATURAL, 0);
    CHECK(column_type(&mixed, 1).type == NANOARROW_TYPE_STRUCT);
    const struct ArrowArrayView* value = mixed.view.children[1];
    CHECK(value->n_children == 5 && value->children[0]->dictionary);
    CHECK(ArrowArrayViewGetIntUnsafe(value->children[2], 0) == 7);
    CHECK(ArrowArrayViewIsNull(value->children[2], 1));
    is_text(value->children[3], 1, "t");
    close_table(&mixed);
    mixed = history(db, "mixed", SYNA_AS_UNION, 0);
    CHECK(column_type(&mixed, 1).type == NANOARROW_TYPE_DENSE_UNION);
    value = mixed.view.children[1];
    const struct ArrowArrayView* member = value->children[ArrowArrayViewUnionChildIndex(value, 0)];
    CHECK(ArrowArrayViewGetIntUnsafe(member, ArrowArrayViewUnionChildOffset(value, 0)) == 7);
    close_table(&mixed);
    mixed = history(db, "mixed", SYNA_AS_TEXT, 0);
    is_text(mixed.view.children[1], 0, "7");
    close_table(&mixed);
    struct table nothing = history(db, "nothing", SYNA_AS_NATURAL, 0);
    CHECK(ArrowArrayViewIsNull(nothing.view.children[1], 0));
    close_table(&nothing);
    nothing = history(db, "text", SYNA_AS_NATURAL, 3); /* no rows */
    CHECK(nothing.array.length == 0);
    close_table(&nothing);
}

/* Reads a stream to its end and gives back its rows. */
static int64_t rows_of(struct ArrowArrayStream* stream) {
    struct table table;
    int64_t rows = 0;
    OK(ArrowArrayStreamGetSchema(stream, &table.schema, &error));
    OK(ArrowArrayViewInitFromSchema(&table.view, &table.schema, &error));
    for (;;) {
        OK(ArrowArrayStreamGetNext(stream, &table.array, &error));
        if (!table.array.release) break;
        OK(ArrowArrayViewSetArray(&table.view, &table.array, &error));
        OK(ArrowArrayViewValidate(&table.view, NANOARROW_VALIDATION_LEVEL_FULL, &error));
        rows += table.array.length;
        ArrowArrayRelease(&table.array);
    }
    ArrowArrayViewReset(&table.view);
    ArrowSchemaRelease(&table.schema);
    ArrowArrayStreamRelease(stream);
    CHECK(!stream->release);
    return rows;
}

static void streams_scans_and_frames_are_valid(struct syna_db* db) {
    struct ArrowArrayStream stream, moved;
    CHECK_IS(syna_db_history_stream(db, "real", 4, NULL, &stream), SYNA_SUCCESS);
    ArrowArrayStreamMove(&stream, &moved);
    CHECK(!stream.release && rows_of(&moved) == N + 1);
    CHECK_IS(syna_db_scan_stream(db, "*", 1, NULL, &stream), SYNA_SUCCESS);
    CHECK(rows_of(&stream) == 2 * N + 11);
    CHECK_IS(syna_db_scan_stream(db, "none", 4, NULL, &stream), SYNA_SUCCESS);
    CHECK(rows_of(&stream) == 0);

    struct table scan;
    CHECK_IS(syna_db_scan_export(db, "[rw]*", 5, NULL, &scan.array, &scan.schema), SYNA_SUCCESS);
    open_table(&scan);
    CHECK(column_type(&scan, 0).type == NANOARROW_TYPE_DICTIONARY && scan.array.length == 2 * N + 1);
    const struct ArrowArrayView* keys = scan.view.children[0];
    is_text(keys->dictionary, ArrowArrayViewGetIntUnsafe(keys, 0), "real");
    is_text(keys->dictionary, ArrowArrayViewGetIntUnsafe(keys, N + 1), "whole");
    CHECK(ArrowArrayViewGetDoubleUnsafe(scan.view.children[2], 2 * N) == (N - 1) * 3 - N);
    close_table(&scan);

    struct table frame;
    const char* const columns[] = {"real", "whole"};
    CHECK_IS(syna_frame_export(DB, columns, NULL, 2, NULL, &frame.array, &frame.schema), SYNA_SUCCESS);
    open_table(&frame);
    CHECK(frame.array.length == N + 1 && column_type(&frame, 2).type == NANOARROW_TYPE_INT64);
    CHECK(ArrowArrayViewIsNull(frame.view.children[1], N)); /* the null is a point */
    CHECK(ArrowArrayViewGetIntUnsafe(frame.view.children[2], N) == (N - 1) * 3 - N);
    close_table(&frame);
    CHECK_IS(syna_db_frame_stream(db, columns, NULL, 2, NULL, &stream), SYNA_SUCCESS);
    CHECK(rows_of(&stream) == N + 1);
}

/* A column of a table that is built: its name, and its type as a format string of the Arrow C Data Interface
 * has it, which is what `ArrowSchemaSetFormat` takes. */
struct column {
    const char *name, *format;
};

static struct ArrowSchema schema_of(const struct column* columns, int count) {
    struct ArrowSchema schema;
    ArrowSchemaInit(&schema);
    OK(ArrowSchemaSetTypeStruct(&schema, count));
    for (int i = 0; i < count; i++) {
        OK(ArrowSchemaSetFormat(schema.children[i], columns[i].format));
        OK(ArrowSchemaSetName(schema.children[i], columns[i].name));
    }
    return schema;
}

static void start(struct ArrowArray* array, struct ArrowSchema* schema) {
    OK(ArrowArrayInitFromSchema(array, schema, &error));
    OK(ArrowArrayStartAppending(array));
}

/* Rows of keys `long/0` to `long/2`, whose values are the number of their row, every fifth null. */
static struct ArrowArray long_rows(struct ArrowSchema* schema, int from, int to) {
    struct ArrowArray array;
    char key[16];
    start(&array, schema);
    for (int row = from; row < to; row++) {
        snprintf(key, sizeof key, "long/%d", row % 3);
        OK(ArrowArrayAppendString(array.children[0], ArrowCharView(key)));
        OK(ArrowArrayAppendInt(array.children[1], row));
        if (row % 5 == 4)
            OK(ArrowArrayAppendNull(array.children[2], 1));
        else
            OK(ArrowArrayAppendDouble(array.children[2], row));
        OK(ArrowArrayFinishElement(&array));
    }
    OK(ArrowArrayFinishBuildingDefault(&array, &error));
    return array;
}

static void arrays_and_streams_come_in_long(struct syna_db* db) {
    const struct column columns[] = {{"key", "u"}, {"timestamp", "tsm:UTC"}, {"value", "g"}};
    struct ArrowSchema schema = schema_of(columns, 3), used;
    struct syna_written written;
    struct ArrowArray array = long_rows(&schema, 0, 900);
    OK(ArrowSchemaDeepCopy(&schema, &used));
    CHECK_IS(syna_db_write_array(db, NULL, &array, &used, &written), SYNA_SUCCESS);
    CHECK(!array.release && !used.release && written.rows == 900 && written.points == 900);
    /* The same through a stream of nanoarrow's of three batches; the last one has no rows. */
    struct ArrowArrayStream stream;
    OK(ArrowSchemaDeepCopy(&schema, &used));
    OK(ArrowBasicArrayStreamInit(&stream, &used, 3));
    for (int batch = 0; batch < 3; batch++) {
        array = long_rows(&schema, 900 + batch * 300, batch < 2 ? 1200 + batch * 300 : 1500);
        ArrowBasicArrayStreamSetArray(&stream, batch, &array);
    }
    OK(ArrowBasicArrayStreamValidate(&stream, &error));
    CHECK_IS(syna_db_write_stream(db, NULL, &stream, &written), SYNA_SUCCESS);
    CHECK(!stream.release && written.rows == 600 && written.commits == 2);
    ArrowSchemaRelease(&schema);

    struct table back = history(db, "long/1", SYNA_AS_NATURAL, 0);
    CHECK(back.array.length == 500);
    for (int64_t i = 0; i < 500; i++) {
        int64_t row = i * 3 + 1;
        CHECK(ArrowArrayViewGetIntUnsafe(back.view.children[0], i) == row * 1000);
        CHECK(ArrowArrayViewIsNull(back.view.children[1], i) == (row % 5 == 4));
        if (row % 5 != 4) CHECK(ArrowArrayViewGetDoubleUnsafe(back.view.children[1], i) == row);
    }
    close_table(&back);
}

/* One column of each type that a value may have; nanoarrow appends numbers to all of them alike. */
static void every_type_comes_in_wide(struct syna_db* db) {
    const struct column columns[] = {
        {"timestamp", "tsn:"}, {"i8", "c"},     {"u8", "C"},     {"i16", "s"}, {"u16", "S"}, {"i32", "i"},
        {"u32", "I"},          {"i64", "l"},    {"u64", "L"},    {"f16", "e"}, {"f32", "f"}, {"f64", "g"},
        {"bool", "b"},         {"text", "u"}, {"long text", "U"},
        {"bytes", "z"},        {"fixed", "w:3"},
    };
    enum { COLUMNS = sizeof columns / sizeof *columns, FIRST_TEXT = 13 };
    struct ArrowSchema schema = schema_of(columns, COLUMNS);
    struct ArrowArray array;
    start(&array, &schema);
    for (int row = 0; row < 2; row++) {
        OK(ArrowArrayAppendInt(array.children[0], row * 1000));
        for (int column = 1; column < COLUMNS; column++) {
            if (column >= FIRST_TEXT)
                OK(ArrowArrayAppendBytes(array.children[column],
                                         (struct ArrowBufferView){.data = {"abc"}, .size_bytes = 3}));
            else if (columns[column].format[0] == 'e' || columns[column].format[0] == 'f')
                OK(ArrowArrayAppendDouble(array.children[column], row + 0.5));
            else
                OK(ArrowArrayAppendInt(array.children[column], row));
        }
        OK(ArrowArrayFinishElement(&array));
    }
    OK(ArrowArrayFinishBuildingDefault(&array, &error));
    struct syna_write_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.prefix = "wide/";
    struct syna_written written;
    CHECK_IS(syna_write_wide_array(DB, &options, &array, &schema, &written), SYNA_SUCCESS);
    CHECK(written.rows == 2 && written.points == 2 * (COLUMNS - 1));
    for (int column = 1; column < COLUMNS; column++) {
        char key[32];
        snprintf(key, sizeof key, "wide/%s", columns[column].name);
        struct table back = history(db, key, SYNA_AS_NATURAL, 0);
        enum ArrowType type = column_type(&back, 1).type;
        CHECK(back.array.length == 2 && ArrowArrayViewGetIntUnsafe(back.view.children[0], 1) == 1);
        if (type == NANOARROW_TYPE_STRING)
            is_text(back.view.children[1], 1, "abc");
        else if (type == NANOARROW_TYPE_BINARY)
            CHECK(ArrowArrayViewGetBytesUnsafe(back.view.children[1], 1).size_bytes == 3);
        else if (type == NANOARROW_TYPE_DOUBLE)
            CHECK(ArrowArrayViewGetDoubleUnsafe(back.view.children[1], 1) >= 1);
        else
            CHECK(ArrowArrayViewGetIntUnsafe(back.view.children[1], 1) >= 1);
        close_table(&back);
    }
}

/* What cannot be stored is refused, released, and nothing of it is there. */
static void what_cannot_be_stored_is_refused(struct syna_db* db) {
    const struct column columns[] = {{"timestamp", "tsu:UTC"}, {"good", "g"}, {"bad", "tiM"}};
    struct ArrowSchema schema = schema_of(columns, 3);
    struct ArrowArray array;
    start(&array, &schema);
    for (int column = 0; column < 3; column++) OK(ArrowArrayAppendEmpty(array.children[column], 1));
    OK(ArrowArrayFinishElement(&array));
    OK(ArrowArrayFinishBuildingDefault(&array, &error));
    CHECK_IS(syna_db_write_wide_array(db, NULL, &array, &schema, NULL), SYNA_ERR_INVALID_DATA);
    CHECK(strstr(syna_last_error_message(), "bad"));
    CHECK(!array.release && !schema.release && syna_db_exists(db, "good", 4) == 0);
}

/* A stream of the store's that nanoarrow holds goes into another database; closing ends it with an error. */
static void streams_pass_through_and_end(struct syna_db* db) {
    struct syna_db* copy;
    struct ArrowArrayStream stream, held;
    struct ArrowArray batch;
    struct syna_written written;
    CHECK_IS(syna_db_open("copy of nanoarrow.syna", NULL, &copy), SYNA_SUCCESS);
    CHECK_IS(syna_db_scan_stream(db, "*", 1, NULL, &stream), SYNA_SUCCESS);
    ArrowArrayStreamMove(&stream, &held);
    CHECK_IS(syna_db_write_stream(copy, NULL, &held, &written), SYNA_SUCCESS);
    CHECK(!held.release && written.points > 2 * N);
    CHECK_IS(syna_db_history_stream(copy, "real", 4, NULL, &stream), SYNA_SUCCESS);
    struct table kept = history(copy, "real", SYNA_AS_NATURAL, 0);
    CHECK_IS(syna_db_close(copy), SYNA_SUCCESS);
    CHECK(ArrowArrayStreamGetNext(&stream, &batch, &error) == EBADF);
    CHECK(strstr(ArrowErrorMessage(&error), "closed"));
    ArrowArrayStreamRelease(&stream);
    OK(ArrowArrayViewValidate(&kept.view, NANOARROW_VALIDATION_LEVEL_FULL, &error));
    close_table(&kept);
}

int main(void) {
    struct syna_db* db;
    CHECK_IS(syna_db_open(DB, NULL, &db), SYNA_SUCCESS);
    CHECK_IS(syna_open(DB), SYNA_SUCCESS);
    histories_of_every_type_are_valid(db);
    streams_scans_and_frames_are_valid(db);
    arrays_and_streams_come_in_long(db);
    every_type_comes_in_wide(db);
    what_cannot_be_stored_is_refused(db);
    streams_pass_through_and_end(db);
    CHECK_IS(syna_close(DB), SYNA_SUCCESS);
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
    puts("nanoarrow: ok");
    return 0;
}
