/* Producers whose structs are not what they say: an error by name, everything released once, and no
 * panic even inside (it would be printed). */
#include <stdint.h>

#include "check.h"

#include "arrow_producer.h"

static struct syna_db* db;
static struct ArrowArray array;
static struct ArrowSchema schema;

static void fresh(void) {
    make_array(&array, 0, NOTHING);
    make_schema(&schema, 0, NOTHING);
}

static void is_refused(const char* why) {
    struct syna_written written;
    int arrays = arrays_released, schemas = schemas_released;
    memset(&written, 0x55, sizeof written);
    CHECK_IS(syna_db_write_array(db, NULL, &array, &schema, &written), SYNA_ERR_SERIALIZATION);
    CHECK(strstr(syna_last_error_message(), why));
    CHECK(!array.release && !schema.release && written.points == 0);
    CHECK(arrays_released == arrays + 1 && schemas_released == schemas + 1);
}

static void release_nested(struct ArrowSchema* nested) {
    if (nested->n_children && nested->children[0]->release)
        nested->children[0]->release(nested->children[0]);
    nested->release = NULL;
}

/* Lists of lists of lists: following them took the stack. */
static void types_are_not_nested_without_end(void) {
    enum { DEPTH = 200000 };
    struct ArrowSchema* levels = calloc(DEPTH, sizeof *levels);
    struct ArrowSchema** pointers = calloc(DEPTH, sizeof *pointers);
    CHECK(levels && pointers);
    for (int i = 0; i < DEPTH; i++) {
        levels[i].format = i + 1 < DEPTH ? "+l" : "g";
        levels[i].name = "item";
        /* All are the program's, and freed at once; the outermost alone is released. */
        levels[i].release = NULL;
        if (i + 1 < DEPTH) {
            pointers[i] = &levels[i + 1];
            levels[i].children = &pointers[i];
            levels[i].n_children = 1;
        }
    }
    fresh();
    struct ArrowSchema* value = schema.children[2];
    value->format = "+l";
    value->n_children = 1;
    value->children = &pointers[0];
    value->release = release_nested;
    is_refused("nested too deeply");
    free(pointers);
    free(levels);
}

static int no_schema(struct ArrowArrayStream* stream, struct ArrowSchema* out) {
    (void)stream, (void)out;
    return 0;
}

static void streams_lie_as_well(void) {
    struct ArrowArrayStream stream;
    int streams = streams_released, arrays = arrays_released;
    make_stream(&stream, (struct produced){.batches = 1});
    stream.get_schema = no_schema;
    CHECK_IS(syna_db_write_stream(db, NULL, &stream, NULL), SYNA_ERR_SERIALIZATION);
    CHECK(strstr(syna_last_error_message(), "a format is NULL"));
    CHECK(!stream.release && streams_released == streams + 1 && arrays_released == arrays);
}

int main(void) {
    CHECK_IS(syna_db_open("liars.syna", NULL, &db), SYNA_SUCCESS);
    fresh(), schema.format = NULL, is_refused("a format is NULL");
    fresh(), schema.children[0]->format = NULL, is_refused("a format is NULL");
    fresh(), schema.children[0]->format = "\xff", is_refused("not valid UTF-8");
    fresh(), schema.children[1]->name = "\xff", is_refused("not valid UTF-8");
    fresh(), schema.children[2]->n_children = -1, is_refused("below 0");
    fresh(), schema.children[2]->n_children = 1, is_refused("NULL");
    struct ArrowSchema* none = NULL;
    fresh(), schema.children[2]->n_children = 1, schema.children[2]->children = &none;
    is_refused("a child is NULL");
    const int32_t entries[] = {INT32_MAX, 0};
    fresh(), schema.metadata = (const char*)entries, is_refused("too many entries");
    const int32_t negative[] = {-1, 0};
    fresh(), schema.children[0]->metadata = (const char*)negative, is_refused("too many entries");

    fresh(), array.offset = 1, is_refused("shorter");
    fresh(), array.length = PRODUCED_ROWS + 1, is_refused("shorter");
    fresh(), array.length = INT64_MAX, is_refused("shorter");
    fresh(), array.offset = INT64_MAX, is_refused("too long");
    fresh(), array.length = -1, is_refused("below 0");
    fresh(), array.children[2]->length = 2, is_refused("shorter");
    fresh(), array.children[2]->length = -1, is_refused("shorter");
    fresh(), array.children[2]->release(array.children[2]), is_refused("moved away");
    fresh(), array.children[2]->null_count = 1, array.children[2]->buffers[0] = NULL;
    is_refused("no bitmap");
    fresh(), array.children[2]->null_count = 0, array.children[2]->buffers[0] = but_the_first;
    is_refused("its bitmap has some");
    fresh(), array.children[2]->n_buffers = -1, is_refused("there are none");
    fresh(), schema.children[2]->format = "w:-8", is_refused("a width is below 0");
    fresh(), schema.children[2]->format = "+l", is_refused("as its format wants");
    /* Views of the doubles' memory: nothing follows them. */
    fresh(), schema.children[2]->format = "vu", is_refused("three buffers or more");
    types_are_not_nested_without_end();
    streams_lie_as_well();

    /* What is true is taken: rows behind an offset, in columns that are longer. */
    struct syna_written written;
    fresh(), array.offset = 1, array.length = 2;
    CHECK_IS(syna_db_write_array(db, NULL, &array, &schema, &written), SYNA_SUCCESS);
    CHECK(written.points == 2);
    double real;
    int64_t at = 20;
    CHECK_IS(syna_db_get_float(db, "k2", 2, &at, &real), SYNA_SUCCESS);
    CHECK(real == 2.5);
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
    puts("liars: ok");
    return 0;
}
