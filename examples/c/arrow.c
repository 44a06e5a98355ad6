/* A history by the Arrow C Stream Interface, without any other library: the mean of a year. */
#include <stdio.h>
#include <string.h>
#include <synadb.h>

int main(void) {
    struct syna_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.durability = SYNA_DURABILITY_OS; /* many small puts, none of them worth a sync */
    struct syna_db* db;
    if (syna_db_open("weather.syna", &options, &db) != SYNA_SUCCESS) {
        fprintf(stderr, "%s\n", syna_last_error_message());
        return 1;
    }
    const char* key = "station/temp";
    for (int64_t hour = 0; hour < 8760; hour++) {
        int64_t timestamp = hour * 3600 * INT64_C(1000000);
        syna_db_put_float(db, key, strlen(key), &timestamp, 10.0 + (double)(hour % 24) * 0.5);
    }

    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    if (syna_db_history_stream(db, key, strlen(key), NULL, &stream) != SYNA_SUCCESS) return 1;
    syna_db_close(db); /* the stream ends with the database; what was read of it does not */
    if (stream.get_next(&stream, &batch) != 0) {
        printf("closed: %s\n", stream.get_last_error(&stream));
        stream.release(&stream);
    }

    if (syna_db_open("weather.syna", &options, &db) != SYNA_SUCCESS) return 1;
    if (syna_db_history_stream(db, key, strlen(key), NULL, &stream) != SYNA_SUCCESS) return 1;
    double sum = 0;
    int64_t rows = 0;
    while (stream.get_next(&stream, &batch) == 0 && batch.release) {
        const struct ArrowArray* values = batch.children[1]; /* the first is `timestamp` */
        const double* numbers = (const double*)values->buffers[1] + values->offset;
        for (int64_t i = 0; i < values->length; i++) sum += numbers[i];
        rows += values->length;
        batch.release(&batch);
    }
    stream.release(&stream);
    printf("%lld points, mean %.2f\n", (long long)rows, sum / (double)rows);
    return syna_db_close(db) == SYNA_SUCCESS ? 0 : 1;
}
