/* Arrow through nanoarrow: a table built with it goes into the store, and a history, a scan and a frame come
 * out and are read through its views. */
#include <nanoarrow/nanoarrow.h>
#include <stdio.h>
#include <synadb.h>

static struct ArrowError error;

/* Three hours at two stations: a column of timestamps, and one of doubles for each key. */
static ArrowErrorCode build(struct ArrowArray* array, struct ArrowSchema* schema) {
    const char* const keys[] = {"JFK/temp", "LGA/temp"};
    const double temperatures[][2] = {{39.02, 39.92}, {39.02, 39.0}, {38.84, 0}};
    ArrowSchemaInit(schema);
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeStruct(schema, 3));
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetTypeDateTime(
        schema->children[0], NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_SECOND, "UTC"));
    NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema->children[0], "timestamp"));
    for (int key = 0; key < 2; key++) {
        NANOARROW_RETURN_NOT_OK(
            ArrowSchemaSetType(schema->children[key + 1], NANOARROW_TYPE_DOUBLE));
        NANOARROW_RETURN_NOT_OK(ArrowSchemaSetName(schema->children[key + 1], keys[key]));
    }
    NANOARROW_RETURN_NOT_OK(ArrowArrayInitFromSchema(array, schema, &error));
    NANOARROW_RETURN_NOT_OK(ArrowArrayStartAppending(array));
    for (int hour = 0; hour < 3; hour++) {
        NANOARROW_RETURN_NOT_OK(ArrowArrayAppendInt(array->children[0], hour * 3600));
        for (int key = 0; key < 2; key++) {
            double value = temperatures[hour][key];
            NANOARROW_RETURN_NOT_OK(value == 0 ? ArrowArrayAppendNull(array->children[key + 1], 1)
                                               : ArrowArrayAppendDouble(array->children[key + 1], value));
        }
        NANOARROW_RETURN_NOT_OK(ArrowArrayFinishElement(array));
    }
    return ArrowArrayFinishBuildingDefault(array, &error);
}

/* Prints a table of any columns, which is released. */
static ArrowErrorCode print(struct ArrowArray* array, struct ArrowSchema* schema) {
    struct ArrowArrayView table;
    NANOARROW_RETURN_NOT_OK(ArrowArrayViewInitFromSchema(&table, schema, &error));
    NANOARROW_RETURN_NOT_OK(ArrowArrayViewSetArray(&table, array, &error));
    for (int64_t row = 0; row < array->length; row++) {
        for (int64_t column = 0; column < table.n_children; column++) {
            const struct ArrowArrayView* cells = table.children[column];
            if (ArrowArrayViewIsNull(cells, row)) {
                printf(" null");
            } else if (cells->dictionary) { /* the keys of a scan */
                int64_t code = ArrowArrayViewGetIntUnsafe(cells, row);
                struct ArrowStringView key = ArrowArrayViewGetStringUnsafe(cells->dictionary, code);
                printf(" %.*s", (int)key.size_bytes, key.data);
            } else if (cells->storage_type == NANOARROW_TYPE_DOUBLE) {
                printf(" %.2f", ArrowArrayViewGetDoubleUnsafe(cells, row));
            } else { /* microseconds, in hours */
                printf(" %dh", (int)(ArrowArrayViewGetIntUnsafe(cells, row) / INT64_C(3600000000)));
            }
        }
        printf("\n");
    }
    ArrowArrayViewReset(&table);
    ArrowArrayRelease(array);
    ArrowSchemaRelease(schema);
    return NANOARROW_OK;
}

/* The mean of the values of a stream. */
static ArrowErrorCode mean(struct ArrowArrayStream* stream, double* out) {
    struct ArrowSchema schema;
    struct ArrowArrayView view;
    struct ArrowArray batch;
    double sum = 0;
    int64_t rows = 0;
    NANOARROW_RETURN_NOT_OK(ArrowArrayStreamGetSchema(stream, &schema, &error));
    NANOARROW_RETURN_NOT_OK(ArrowArrayViewInitFromSchema(&view, &schema, &error));
    while (ArrowArrayStreamGetNext(stream, &batch, &error) == NANOARROW_OK && batch.release) {
        NANOARROW_RETURN_NOT_OK(ArrowArrayViewSetArray(&view, &batch, &error));
        for (int64_t row = 0; row < batch.length; row++, rows++)
            sum += ArrowArrayViewGetDoubleUnsafe(view.children[1], row);
        ArrowArrayRelease(&batch);
    }
    ArrowArrayViewReset(&view);
    ArrowSchemaRelease(&schema);
    ArrowArrayStreamRelease(stream);
    *out = sum / (double)rows;
    return NANOARROW_OK;
}

static int failed(void) {
    fprintf(stderr, "%s%s\n", ArrowErrorMessage(&error), syna_last_error_message());
    return 1;
}

int main(void) {
    struct syna_db* db;
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    struct syna_written written;
    double temperature;
    if (syna_db_open("airports.syna", NULL, &db) != SYNA_SUCCESS) return failed();
    if (build(&array, &schema) != NANOARROW_OK) return failed();
    /* The call takes both over, whatever comes of it. */
    if (syna_db_write_wide_array(db, NULL, &array, &schema, &written) != SYNA_SUCCESS) return failed();
    printf("written: %d points of %d rows\n", (int)written.points, (int)written.rows);

    printf("history\n");
    if (syna_db_history_export(db, "LGA/temp", 8, NULL, &array, &schema) != SYNA_SUCCESS) return failed();
    if (print(&array, &schema) != NANOARROW_OK) return failed();
    printf("scan\n");
    if (syna_db_scan_export(db, "*/temp", 6, NULL, &array, &schema) != SYNA_SUCCESS) return failed();
    if (print(&array, &schema) != NANOARROW_OK) return failed();
    printf("frame\n");
    const char* const keys[] = {"JFK/temp", "LGA/temp"};
    if (syna_db_frame_export(db, keys, NULL, 2, NULL, &array, &schema) != SYNA_SUCCESS) return failed();
    if (print(&array, &schema) != NANOARROW_OK) return failed();

    if (syna_db_history_stream(db, "JFK/temp", 8, NULL, &stream) != SYNA_SUCCESS) return failed();
    if (mean(&stream, &temperature) != NANOARROW_OK) return failed();
    printf("mean %.2f\n", temperature);
    return syna_db_close(db) == SYNA_SUCCESS ? 0 : failed();
}
