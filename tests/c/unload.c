/* A program that loads the library itself, and unloads it while it still holds what came from there. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "synadb.h"

#define DB "unload.syna"
#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

static struct ArrowArray array;
static struct ArrowSchema schema;
static struct ArrowArrayStream stream;

/* The address of a function, which ISO C does not make of an object's. */
static void find(void* library, const char* name, void* function) {
    void* address = dlsym(library, name);
    MUST(address);
    memcpy(function, &address, sizeof address);
}

/* In a thread of its own: what it leaves in its thread-local memory would keep the library. */
static void* use(void* library) {
    int32_t (*open_it)(const char*);
    int32_t (*close_it)(const char*);
    int64_t (*put)(const char*, const char*, double);
    int32_t (*export)(const char*, const char*, const struct syna_history_options*,
                      struct ArrowArray*, struct ArrowSchema*);
    int32_t (*stream_of)(const char*, const char*, const struct syna_history_options*,
                         struct ArrowArrayStream*);
    find(library, "syna_open", &open_it);
    find(library, "syna_close", &close_it);
    find(library, "syna_put_float", &put);
    find(library, "syna_history_export", &export);
    find(library, "syna_history_stream", &stream_of);
    MUST(open_it(DB) == SYNA_SUCCESS);
    MUST(put(DB, "k", 1.5) > 0);
    MUST(export(DB, "k", NULL, &array, &schema) == SYNA_SUCCESS);
    MUST(stream_of(DB, "k", NULL, &stream) == SYNA_SUCCESS);
    MUST(close_it(DB) == SYNA_SUCCESS);
    return NULL;
}

int main(void) {
    const char* path = getenv("SYNADB_LIBRARY");
    MUST(path);
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    MUST(library);
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, use, library) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(dlclose(library) == 0);

    MUST(((const double*)array.children[1]->buffers[1])[array.children[1]->offset] == 1.5);
    struct ArrowArray next;
    MUST(stream.get_next(&stream, &next) != 0 && stream.get_last_error(&stream));
    stream.release(&stream);
    array.release(&array);
    schema.release(&schema);
    /* What it wants to be told of a fork is there. */
    pid_t child = fork();
    if (child == 0) _exit(0);
    int status;
    MUST(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    puts("unload: ok");
    return 0;
}
