/* Keys and paths of unusual names: what a column cannot be called, and where a bound text leads. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* A C schema's names end with NUL. A frame whose key has one inside was made as a stream, whose every
 * use then failed. */
static void a_key_with_nul_is_no_column(void) {
    struct syna_db* db;
    struct ArrowArray array;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    const char* const keys[] = {"a", "n\0l"};
    const size_t lengths[] = {1, 3};
    CHECK_IS(syna_db_open("names.syna", NULL, &db), SYNA_SUCCESS);
    CHECK(syna_db_put_int(db, "a", 1, NULL, 1) > 0 && syna_db_put_int(db, "n\0l", 3, NULL, 1) > 0);
    CHECK_IS(syna_db_frame_export(db, keys, lengths, 2, NULL, &array, &schema),
             SYNA_ERR_INVALID_ARGUMENT);
    CHECK(!array.release && !schema.release && strstr(syna_last_error_message(), "column"));
    CHECK_IS(syna_db_frame_stream(db, keys, lengths, 2, NULL, &stream), SYNA_ERR_INVALID_ARGUMENT);
    CHECK(!stream.release);
    /* A scan has them as values. */
    CHECK_IS(syna_db_scan_export(db, "*", 1, NULL, &array, &schema), SYNA_SUCCESS);
    CHECK(array.length == 2);
    array.release(&array), schema.release(&schema);
    CHECK_IS(syna_db_close(db), SYNA_SUCCESS);
}

/* A second open of a bound text led elsewhere after `chdir` and took the first one's count along. */
static void a_bound_text_is_opened_again_where_it_leads(void) {
    double real;
    CHECK_IS(syna_open("bound.syna"), SYNA_SUCCESS);
    CHECK(syna_put_float("bound.syna", "k", 1.5) > 0);
    CHECK(mkdir("elsewhere", 0777) == 0 && chdir("elsewhere") == 0);
    CHECK_IS(syna_open("bound.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_open_read_only("bound.syna"), SYNA_SUCCESS);
    CHECK(access("bound.syna", F_OK) != 0);
    CHECK_IS(syna_get_float("bound.syna", "k", &real), SYNA_SUCCESS);
    CHECK(real == 1.5);
    CHECK_IS(syna_close("bound.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_close("bound.syna"), SYNA_SUCCESS);
    CHECK(syna_put_float("bound.syna", "k", 2.5) > 0);
    CHECK_IS(syna_close("bound.syna"), SYNA_SUCCESS);
    CHECK_IS(syna_close("bound.syna"), SYNA_ERR_DB_NOT_FOUND);
    /* Closed, it leads where a text leads. */
    CHECK_IS(syna_open("bound.syna"), SYNA_SUCCESS);
    CHECK(access("bound.syna", F_OK) == 0);
    CHECK_IS(syna_close("bound.syna"), SYNA_SUCCESS);
    CHECK(chdir("..") == 0);
}

int main(void) {
    a_key_with_nul_is_no_column();
    a_bound_text_is_opened_again_where_it_leads();
    puts("names: ok");
    return 0;
}
