/* The README's program: put, get, a history as an array. */
#include <stdio.h>
#include <synadb.h>

int main(void) {
    const char* db = "house.syna";
    if (syna_open(db) != SYNA_SUCCESS) { /* created when it is missing */
        fprintf(stderr, "%s\n", syna_last_error_message());
        return 1;
    }
    syna_put_float(db, "kitchen/temp", 21.5); /* durable when it returns */
    syna_put_float(db, "kitchen/temp", 19.0);
    syna_put_text(db, "kitchen/lamp", "on");

    double latest;
    if (syna_get_float(db, "kitchen/temp", &latest) == SYNA_SUCCESS) printf("latest %.1f\n", latest);

    size_t len;
    double* history = syna_get_history_tensor(db, "kitchen/temp", &len);
    for (size_t i = 0; i < len; i++) printf("history %.1f\n", history[i]);
    syna_free_tensor(history, len);

    int32_t status = syna_get_float(db, "kitchen/lamp", &latest);
    printf("%s: %s\n", syna_error_name(status), syna_last_error_message());
    return syna_close(db) == SYNA_SUCCESS ? 0 : 1;
}
