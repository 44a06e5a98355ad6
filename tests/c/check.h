/* What the C tests share: checks that say where they failed, and names of files to work on. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "synadb.h"

static void check_failed(const char* file, int line, const char* what) {
    fprintf(stderr, "%s:%d: %s (last: %s, %s)\n", file, line, what,
            syna_error_name(syna_last_error()), syna_last_error_message());
    exit(1);
}

#define CHECK(condition) \
    do { \
        if (!(condition)) check_failed(__FILE__, __LINE__, #condition); \
    } while (0)

/* The call answers with this code, and says so. */
#define CHECK_IS(call, code) \
    do { \
        CHECK((call) == (code)); \
        CHECK(syna_last_error() == (code)); \
        CHECK((code) == SYNA_SUCCESS ? !*syna_last_error_message() : *syna_last_error_message()); \
    } while (0)

/* The call answers with NULL, for this reason. */
#define CHECK_NULL(call, code) \
    do { \
        CHECK((call) == NULL); \
        CHECK(syna_last_error() == (code)); \
    } while (0)

/* The call gives back nothing and says this. */
#define CHECK_SAYS(call, code) \
    do { \
        (call); \
        CHECK(syna_last_error() == (code)); \
    } while (0)

#endif
