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
    syna_put_float_at(db, "kitchen/temp", 1357020000000000, 19.0); /* microseconds since 1970 UTC */
    syna_put_text(db, "kitchen/lamp", "on");
    syna_put_int(db, "door/opened", 3);

    double temp;
    if (syna_get_float(db, "kitchen/temp", &temp) == SYNA_SUCCESS) printf("latest %.1f\n", temp);
    if (syna_get_float_at(db, "kitchen/temp", 1400000000000000, &temp) == SYNA_SUCCESS)
        printf("in May 2014 %.1f\n", temp);

    size_t len;
    double* history = syna_get_history_tensor(db, "kitchen/temp", &len);
    for (size_t i = 0; i < len; i++) printf("history %.1f\n", history[i]);
    syna_free_tensor(history, len);

    int32_t status = syna_get_float(db, "kitchen/lamp", &temp);
    printf("%s: %s\n", syna_error_name(status), syna_last_error_message());
    return syna_close(db) == SYNA_SUCCESS ? 0 : 1;
}
