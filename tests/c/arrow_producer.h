/* Record batches made by hand, as the text of the C Data Interface says, that count how often they
 * are released: columns `key` (utf8), `timestamp` (microseconds, UTC) and `value` (double); or in the
 * wide form `timestamp` and the columns `wa` and `wb`. */
#ifndef ARROW_PRODUCER_H
#define ARROW_PRODUCER_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "synadb.h"

enum { PRODUCED_ROWS = 3 };

#ifndef PER_THREAD
#define PER_THREAD
#endif
static PER_THREAD int arrays_released, schemas_released, streams_released;

static void release_child_schema(struct ArrowSchema* schema) { schema->release = NULL; }
static void release_child_array(struct ArrowArray* array) {
    free((void*)array->buffers);
    array->release = NULL;
}

static void release_schema(struct ArrowSchema* schema) {
    schemas_released++;
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
        free(schema->children[i]);
    }
    free(schema->children);
    schema->release = NULL;
}

static void release_array(struct ArrowArray* array) {
    arrays_released++;
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release) array->children[i]->release(array->children[i]);
        free(array->children[i]);
    }
    free(array->children);
    free((void*)array->buffers);
    array->release = NULL;
}

/* What is to be wrong with a batch. */
enum wrong { NOTHING, NO_COLUMN, NULL_ROW, BAD_FORMAT, BAD_OFFSETS, FEWER_CHILDREN };

static const char* const long_names[] = {"key", "timestamp", "value"};
static const char* const long_formats[] = {"u", "tsu:UTC", "g"};
static const char* const wide_names[] = {"timestamp", "wa", "wb"};
static const char* const wide_formats[] = {"tsu:UTC", "g", "l"};

static void make_schema(struct ArrowSchema* schema, int wide, enum wrong wrong) {
    memset(schema, 0, sizeof *schema);
    schema->format = "+s";
    schema->name = "";
    schema->n_children = 3;
    schema->children = calloc(3, sizeof *schema->children);
    for (int i = 0; i < 3; i++) {
        struct ArrowSchema* child = calloc(1, sizeof *child);
        child->format = (wide ? wide_formats : long_formats)[i];
        child->name = (wide ? wide_names : long_names)[i];
        child->flags = ARROW_FLAG_NULLABLE;
        child->release = release_child_schema;
        schema->children[i] = child;
    }
    if (wrong == NO_COLUMN) schema->children[wide ? 0 : 1]->name = "another";
    if (wrong == BAD_FORMAT) schema->children[2]->format = "no such format";
    schema->release = release_schema;
}

static const int32_t good_offsets[] = {0, 2, 4, 6};
static const int32_t bad_offsets[] = {0, 4, 2, 6};
static const int64_t produced_stamps[] = {10, 20, 30};
static const double produced_reals[] = {1.5, 2.5, 3.5};
static const int64_t produced_wholes[] = {1, 2, 3};
static const uint8_t but_the_first[] = {6};

static void make_array(struct ArrowArray* array, int wide, enum wrong wrong) {
    memset(array, 0, sizeof *array);
    array->length = PRODUCED_ROWS;
    array->n_buffers = 1;
    array->buffers = calloc(1, sizeof *array->buffers);
    if (wrong == NULL_ROW) array->buffers[0] = but_the_first, array->null_count = 1;
    array->n_children = wrong == FEWER_CHILDREN ? 2 : 3;
    array->children = calloc(3, sizeof *array->children);
    for (int i = 0; i < array->n_children; i++) {
        struct ArrowArray* child = calloc(1, sizeof *child);
        const char* format = (wide ? wide_formats : long_formats)[i];
        child->length = PRODUCED_ROWS;
        child->n_buffers = *format == 'u' ? 3 : 2;
        child->buffers = calloc(3, sizeof *child->buffers);
        if (*format == 'u') {
            child->buffers[1] = wrong == BAD_OFFSETS ? bad_offsets : good_offsets;
            child->buffers[2] = "k1k2k1";
        } else {
            child->buffers[1] = *format == 't'   ? (const void*)produced_stamps
                                : *format == 'g' ? (const void*)produced_reals
                                                 : (const void*)produced_wholes;
        }
        child->release = release_child_array;
        array->children[i] = child;
    }
    array->release = release_array;
}

/* A stream of batches that fails at one of them, if it is to. */
struct produced {
    int batches, fails_at, wide, is_silent;
    enum wrong wrong;
};

static int produce_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out) {
    const struct produced* produced = stream->private_data;
    make_schema(out, produced->wide, produced->wrong);
    return 0;
}

static int produce_next(struct ArrowArrayStream* stream, struct ArrowArray* out) {
    struct produced* produced = stream->private_data;
    memset(out, 0, sizeof *out);
    if (produced->fails_at && produced->batches == produced->fails_at) return EIO;
    if (produced->batches-- > 0) make_array(out, produced->wide, produced->wrong);
    return 0;
}

static const char* produce_error(struct ArrowArrayStream* stream) {
    const struct produced* produced = stream->private_data;
    return produced->is_silent ? NULL : "the producer has no more";
}

static void release_produced(struct ArrowArrayStream* stream) {
    streams_released++;
    free(stream->private_data);
    stream->release = NULL;
}

static void make_stream(struct ArrowArrayStream* stream, struct produced how) {
    struct produced* produced = malloc(sizeof *produced);
    *produced = how;
    stream->get_schema = produce_schema;
    stream->get_next = produce_next;
    stream->get_last_error = produce_error;
    stream->release = release_produced;
    stream->private_data = produced;
}

#endif
