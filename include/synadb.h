/*
 * SynaDB: an embedded store for numbers over time, in one append-only file.
 *
 * Two faces of one library. The classic calls name a database by the path it was opened with:
 *
 *     syna_open("house.syna");
 *     syna_put_float("house.syna", "kitchen/temp", 21.5);
 *     syna_close("house.syna");
 *
 * The others hold handles (syna_db, syna_series, syna_snapshot), take keys with their length, and
 * save the look-up of the path. Both may be mixed: one file is one database in a process.
 *
 * Statuses. A function returns 1 (SYNA_SUCCESS) or a code <= 0; puts return an offset > 0 or a
 * code <= 0; functions that return pointers return NULL on errors only. The code of a thread's last
 * call is syna_last_error(), a sentence about it syna_last_error_message(). Each declaration lists
 * its statuses without SYNA_ and SYNA_ERR_. Words for several of them, every one of which the
 * function may return:
 *
 *     PATH    DB_NOT_FOUND, INVALID_PATH; and CLOSED beside a syna_close of another thread
 *     HANDLE  INVALID_ARGUMENT, CLOSED, FORKED
 *     KEY     INVALID_PATH, EMPTY_KEY, KEY_TOO_LONG
 *     READ    CORRUPT, OUT_OF_MEMORY
 *     LOOK    CORRUPT, IO, DETACHED; of a read-only database that looks for newer commits first
 *     WRITE   READ_ONLY, IO, POISONED, DETACHED
 *     OPEN    INVALID_PATH, NOT_A_DATABASE, UNSUPPORTED, CORRUPT, IO, OUT_OF_MEMORY
 *
 * Every function may return INTERNAL_PANIC: a bug of the library, caught at its border.
 *
 * Arguments. Paths, keys and texts end with NUL unless they have a length. Paths may be any bytes;
 * keys are 1 to 65,535 bytes of UTF-8, texts any UTF-8. NULL is an error and never a crash:
 * INVALID_PATH for paths, keys and texts, INVALID_ARGUMENT for the rest. Where results go is set
 * (to 0, NULL, or a released Arrow struct) before any work is done. Times are microseconds since
 * 1970-01-01 UTC.
 *
 * Ownership. What a declaration calls the caller's is freed by the function it names, in any
 * thread, and stays valid until then: also after the database was closed, rewritten or deleted.
 *
 * Threads. Every function may be called by any number of threads at once.
 *
 * fork. A child's databases are its own: handles of the parent answer FORKED, its paths
 * DB_NOT_FOUND, and what the parent was handed out is readable but not freed in the child.
 */


#ifndef SYNADB_H
#define SYNADB_H

/* Generated from capi/src by cbindgen: `make header`. Do not edit. */

#include <stddef.h>
#include <stdint.h>

typedef struct syna_db syna_db;
typedef struct syna_series syna_series;
typedef struct syna_snapshot syna_snapshot;
typedef struct syna_options syna_options;
typedef struct syna_history_options syna_history_options;
typedef struct syna_frame_options syna_frame_options;
typedef struct syna_write_options syna_write_options;
typedef struct syna_written syna_written;

/* The Arrow C Data Interface, word for word from its specification:
 * https://arrow.apache.org/docs/format/CDataInterface.html */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char* format;
    const char* name;
    const char* metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema** children;
    struct ArrowSchema* dictionary;
    void (*release)(struct ArrowSchema*);
    void* private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void** buffers;
    struct ArrowArray** children;
    struct ArrowArray* dictionary;
    void (*release)(struct ArrowArray*);
    void* private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

/* The Arrow C Stream Interface: https://arrow.apache.org/docs/format/CStreamInterface.html */
#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
    int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
    const char* (*get_last_error)(struct ArrowArrayStream*);
    void (*release)(struct ArrowArrayStream*);
    void* private_data;
};

#endif /* ARROW_C_STREAM_INTERFACE */


/**
 * Bytes of the Arrow IPC streaming format.
 */
#define SYNA_IPC_STREAM 1

/**
 * Bytes of the Arrow IPC file format ("Feather V2").
 */
#define SYNA_IPC_FILE 2

/**
 * A row sees the latest point at or before its time. The default.
 */
#define SYNA_ALIGN_BACKWARD 0

/**
 * A row sees the earliest point at or after its time.
 */
#define SYNA_ALIGN_FORWARD 1

/**
 * A row sees the point whose time is nearest.
 */
#define SYNA_ALIGN_NEAREST 2

/**
 * Missing cells are null. The default.
 */
#define SYNA_FILL_NONE 0

/**
 * Missing cells have what stands in the nearest row above that is not missing.
 */
#define SYNA_FILL_LAST 1

/**
 * Missing cells have `fill_value`.
 */
#define SYNA_FILL_VALUE 2

/**
 * An option as it is by default.
 */
#define SYNA_DEFAULT 0

/**
 * An option that is on.
 */
#define SYNA_ON 1

/**
 * An option that is off.
 */
#define SYNA_OFF 2

/**
 * An append returns when it is synced; it survives power loss. The default.
 */
#define SYNA_DURABILITY_FULL 1

/**
 * An append returns when the operating system has it; it survives the end of the process.
 */
#define SYNA_DURABILITY_OS 2

/**
 * An append returns when it is in this process's buffer. What is there when the process ends without a
 * `syna_close` or `syna_flush` is lost, also by `exit`.
 */
#define SYNA_DURABILITY_BUFFERED 3

/**
 * Open the file, or create it where there is none. The default.
 */
#define SYNA_CREATE_IF_MISSING 1

/**
 * The file must exist.
 */
#define SYNA_CREATE_NEVER 2

/**
 * The file must not exist.
 */
#define SYNA_CREATE_NEW 3

/**
 * No bytes at all, where 0 means the default.
 */
#define SYNA_NONE UINT64_MAX

/**
 * For `refresh_interval_ms`: only by a call of `syna_refresh`.
 */
#define SYNA_REFRESH_NEVER UINT64_MAX

/**
 * For `refresh_interval_ms`: before every call.
 */
#define SYNA_REFRESH_ALWAYS (UINT64_MAX - 1)

/**
 * The type that the kinds in the key's history ask for. The default.
 */
#define SYNA_AS_NATURAL 0

/**
 * A struct of kind, float, int, text and bytes, which takes any mix.
 */
#define SYNA_AS_STRUCT 1

/**
 * Float64; integers within 2^53 fit.
 */
#define SYNA_AS_FLOAT 2

/**
 * Int64.
 */
#define SYNA_AS_INT 3

/**
 * Utf8; numbers as they are written in decimal.
 */
#define SYNA_AS_TEXT 4

/**
 * Binary; texts as their UTF-8.
 */
#define SYNA_AS_BYTES 5

/**
 * A dense union.
 */
#define SYNA_AS_UNION 6

/**
 * Points that do not fit the type are an error. The default.
 */
#define SYNA_MISMATCH_RAISE 0

/**
 * Points that do not fit the type become nulls.
 */
#define SYNA_MISMATCH_NULL 1

/**
 * Points that do not fit the type are left out.
 */
#define SYNA_MISMATCH_SKIP 2

/**
 * Points leave as they were appended. The default.
 */
#define SYNA_ORDER_APPEND 0

/**
 * Points leave by timestamp, equal ones as they were appended.
 */
#define SYNA_ORDER_TIME 1

/**
 * Success.
 */
#define SYNA_SUCCESS 1

/**
 * An error without a number of its own.
 */
#define SYNA_ERR_GENERIC 0

/**
 * No open database has this path.
 */
#define SYNA_ERR_DB_NOT_FOUND -1

/**
 * A path, key or text is NULL or not valid UTF-8 (paths may be any bytes), a path is empty, or it
 * names something that is no file.
 */
#define SYNA_ERR_INVALID_PATH -2

/**
 * The operating system refused an operation; the message says which.
 */
#define SYNA_ERR_IO -3

/**
 * Bytes could not be encoded or decoded.
 */
#define SYNA_ERR_SERIALIZATION -4

/**
 * There is no such key, or nothing at or before the time asked for.
 */
#define SYNA_ERR_KEY_NOT_FOUND -5

/**
 * The value is of another kind than was asked for.
 */
#define SYNA_ERR_TYPE_MISMATCH -6

/**
 * The key is empty.
 */
#define SYNA_ERR_EMPTY_KEY -7

/**
 * The key is longer than 65,535 bytes.
 */
#define SYNA_ERR_KEY_TOO_LONG -8

/**
 * An argument cannot be what is meant: an output that is NULL, a handle that never was one, an
 * option out of its range, a bad pattern, columns of different lengths.
 */
#define SYNA_ERR_INVALID_ARGUMENT -9

/**
 * There is no database at the path, and none was to be created.
 */
#define SYNA_ERR_FILE_NOT_FOUND -10

/**
 * The file exists already.
 */
#define SYNA_ERR_ALREADY_EXISTS -11

/**
 * The file is not a SynaDB database; it was left untouched.
 */
#define SYNA_ERR_NOT_A_DATABASE -12

/**
 * The file was written by a newer version and uses what this one does not know.
 */
#define SYNA_ERR_UNSUPPORTED -13

/**
 * Stored bytes are damaged. Nothing was changed; `syna_salvage` copies what is intact.
 */
#define SYNA_ERR_CORRUPT -14

/**
 * Another process writes to the database.
 */
#define SYNA_ERR_LOCKED -15

/**
 * The database is open in this process with other options.
 */
#define SYNA_ERR_OPTIONS_CONFLICT -16

/**
 * The file was replaced or removed by somebody else since it was opened.
 */
#define SYNA_ERR_DETACHED -17

/**
 * The handle was opened by the parent of this forked process.
 */
#define SYNA_ERR_FORKED -18

/**
 * The handle, or its database, was closed.
 */
#define SYNA_ERR_CLOSED -19

/**
 * A sync failed: writes are refused until the database is opened again.
 */
#define SYNA_ERR_POISONED -20

/**
 * The database was opened for reading only.
 */
#define SYNA_ERR_READ_ONLY -21

/**
 * Another rewrite of the database is running.
 */
#define SYNA_ERR_BUSY -22

/**
 * There is no memory for what was asked for.
 */
#define SYNA_ERR_OUT_OF_MEMORY -23

/**
 * A value, a batch or a column is larger than the format or Arrow allows.
 */
#define SYNA_ERR_TOO_LARGE -24

/**
 * The database is on a network file system, which must be allowed first.
 */
#define SYNA_ERR_NETWORK_FS -25

/**
 * More is torn than is cut off by itself; `syna_salvage` copies what is intact.
 */
#define SYNA_ERR_TORN_TAIL_TOO_LONG -26

/**
 * No append returned this offset.
 */
#define SYNA_ERR_NO_SUCH_OFFSET -27

/**
 * What was to be freed is nothing that has to be freed by this function.
 */
#define SYNA_ERR_NOT_OURS -28

/**
 * The file has other hard links, which a rewrite would leave behind.
 */
#define SYNA_ERR_HARD_LINKED -29

/**
 * A record batch cannot be stored as it is: a column is missing, twice there, of a type that cannot
 * be stored, or a cell of it is; the message names column, row and way out. Nothing of it was
 * written.
 */
#define SYNA_ERR_INVALID_DATA -30

/**
 * A bug of this library was caught at its border. The message says more; please report it.
 */
#define SYNA_ERR_INTERNAL_PANIC -100

/**
 * The version of this interface: programs that were compiled with the same one fit the library.
 */
#define SYNA_ABI_VERSION 1

/**
 * A point whose value is null.
 */
#define SYNA_KIND_NULL 1

/**
 * A point whose value is a double.
 */
#define SYNA_KIND_FLOAT 2

/**
 * A point whose value is a 64-bit integer.
 */
#define SYNA_KIND_INT 3

/**
 * A point whose value is a text.
 */
#define SYNA_KIND_TEXT 4

/**
 * A point whose value is bytes.
 */
#define SYNA_KIND_BYTES 5

/**
 * `struct ArrowArray` of the C Data Interface, as the header has it.
 */
struct ArrowArray;

/**
 * `struct ArrowArrayStream` of the C Stream Interface, as the header has it.
 */
struct ArrowArrayStream;

/**
 * `struct ArrowSchema` of the C Data Interface, as the header has it.
 */
struct ArrowSchema;

/**
 * An open database. Made by `syna_db_open`, ended by `syna_db_close`. Any number of threads may use
 * it at once. It is no address: it is looked up, and one that was closed is an error.
 */
struct syna_db;

/**
 * One key of a database, looked up once. Made by `syna_series_open`, ended by `syna_series_close`.
 * Any number of threads may use it at once; with one each they share nothing.
 */
struct syna_series;

/**
 * A database as of one commit: all that is read through it agrees and never changes. Made by
 * `syna_snapshot_take`, ended by `syna_snapshot_release`. Any number of threads may use it at once.
 */
struct syna_snapshot;

/**
 * How a database is opened. Set everything to zero, then `struct_size`, then what is to differ
 * from the defaults.
 */
struct syna_options {
    /**
     * `sizeof(syna_options)`.
     */
    size_t struct_size;
    /**
     * When an append returns: SYNA_DURABILITY_*. Default: FULL.
     */
    int32_t durability;
    /**
     * Whether opening may create the file: SYNA_CREATE_*. Default: IF_MISSING.
     */
    int32_t create;
    /**
     * Open for reading only: SYNA_ON or SYNA_OFF. Default: off. Of the others only
     * `refresh_interval_ms` matters then, and the file must exist.
     */
    int32_t read_only;
    /**
     * Store numbers as differences and decimals in few bits: SYNA_ON or SYNA_OFF. Default: on.
     */
    int32_t enable_delta;
    /**
     * Store repeated values once, and texts and bytes by LZ4: SYNA_ON or SYNA_OFF. Default: on.
     */
    int32_t enable_compression;
    /**
     * Write to databases on network file systems: SYNA_ON or SYNA_OFF. Default: off.
     */
    int32_t allow_network_fs;
    /**
     * Rewrite the file in the background when that frees much: SYNA_ON or SYNA_OFF. Default: off.
     */
    int32_t auto_optimize;
    /**
     * Zero.
     */
    int32_t reserved;
    /**
     * For BUFFERED: bytes of the buffer, 4 KiB to 16 MiB. Default: 256 KiB.
     */
    uint64_t buffer_size_bytes;
    /**
     * For BUFFERED: age in milliseconds at which the buffer is written out. Default: 100.
     */
    uint64_t buffer_interval_ms;
    /**
     * Bytes of decoded points in memory before they become chunks. Default: 64 MiB.
     */
    uint64_t tail_budget_bytes;
    /**
     * Bytes of decoded columns kept for the next read; SYNA_NONE keeps none. Default: 256 MiB.
     */
    uint64_t column_cache_bytes;
    /**
     * Bytes of released buffers kept to be used again; SYNA_NONE keeps none. Default: 256 MiB.
     */
    uint64_t buffer_pool_bytes;
    /**
     * Age in milliseconds at which a read-only handle looks for new commits by itself, or one of
     * SYNA_REFRESH_*. Default: 1.
     */
    uint64_t refresh_interval_ms;
    /**
     * What `auto_optimize` must free at least, in bytes. Default: 256 MiB.
     */
    uint64_t auto_optimize_min_bytes;
};

/**
 * Which rows a frame has, and what they see. Set everything to zero, then `struct_size`, then what
 * is to differ from the defaults.
 */
struct syna_frame_options {
    /**
     * `sizeof(syna_frame_options)`.
     */
    size_t struct_size;
    /**
     * Whether only rows with times in [`time_start`, `time_end`) are asked for: SYNA_ON or
     * SYNA_OFF. Default: off.
     */
    int32_t by_time;
    /**
     * Whether `tolerance` counts: SYNA_ON or SYNA_OFF. Default: off.
     */
    int32_t by_tolerance;
    /**
     * Microseconds since 1970-01-01 UTC.
     */
    int64_t time_start;
    /**
     * Microseconds since 1970-01-01 UTC, behind the last one.
     */
    int64_t time_end;
    /**
     * Microseconds between rows. 0: rows at the times of the points.
     */
    int64_t every;
    /**
     * Rows see no point that is further away than so many microseconds, >= 0.
     */
    int64_t tolerance;
    /**
     * SYNA_ALIGN_*.
     */
    int32_t align;
    /**
     * SYNA_FILL_*.
     */
    int32_t fill;
    /**
     * For SYNA_FILL_VALUE.
     */
    double fill_value;
    /**
     * The type of the columns: SYNA_AS_*, but no union.
     */
    int32_t as_type;
    /**
     * What happens to points that do not fit the type: SYNA_MISMATCH_*.
     */
    int32_t on_mismatch;
};

/**
 * Which points of a history are asked for, and how. Set everything to zero, then `struct_size`,
 * then what is to differ from the defaults: all points, as they were appended.
 */
struct syna_history_options {
    /**
     * `sizeof(syna_history_options)`.
     */
    size_t struct_size;
    /**
     * Whether only points with timestamps in [`time_start`, `time_end`) are asked for: SYNA_ON or
     * SYNA_OFF. Default: off.
     */
    int32_t by_time;
    /**
     * Whether only points at the places [`row_start`, `row_end`) are asked for, counted from 0 at
     * the oldest live one: SYNA_ON or SYNA_OFF. Default: off.
     */
    int32_t by_row;
    /**
     * Microseconds since 1970-01-01 UTC.
     */
    int64_t time_start;
    /**
     * Microseconds since 1970-01-01 UTC, behind the last one.
     */
    int64_t time_end;
    /**
     * The first place.
     */
    uint64_t row_start;
    /**
     * Behind the last place.
     */
    uint64_t row_end;
    /**
     * Of all that is left, only so many of the last points in append order. 0: all.
     */
    uint64_t last;
    /**
     * The type of the values: SYNA_AS_*.
     */
    int32_t as_type;
    /**
     * What happens to points that do not fit the type: SYNA_MISMATCH_*.
     */
    int32_t on_mismatch;
    /**
     * SYNA_ORDER_*.
     */
    int32_t order;
    /**
     * Zero.
     */
    int32_t reserved;
};

/**
 * How record batches are read and written. Set everything to zero, then `struct_size`, then what
 * is to differ from the defaults. Names are UTF-8 and end with NUL; NULL is the default.
 */
struct syna_write_options {
    /**
     * `sizeof(syna_write_options)`.
     */
    size_t struct_size;
    /**
     * Long form: the column of keys. Default: `key`.
     */
    const char *key_column;
    /**
     * The column of timestamps. Default: `timestamp`.
     */
    const char *time_column;
    /**
     * Long form: the column of values. Default: `value`.
     */
    const char *value_column;
    /**
     * Wide form: what stands before the name of a column in its key. Default: nothing.
     */
    const char *prefix;
    /**
     * Round timestamps finer than a microsecond down: SYNA_ON or SYNA_OFF. Default: off, they are
     * INVALID_DATA.
     */
    int32_t floor;
    /**
     * All batches of a stream are one commit: SYNA_ON or SYNA_OFF. Default: off.
     */
    int32_t atomic;
    /**
     * Bytes that an atomic write of a stream may stage in memory. Default: 1 GiB.
     */
    uint64_t write_budget_bytes;
};

/**
 * What a write has done.
 */
struct syna_written {
    /**
     * Points: in the long form the rows, in the wide one the rows times the keys.
     */
    uint64_t points;
    /**
     * Rows of all batches.
     */
    uint64_t rows;
    /**
     * Commits: one for each batch that had points, or one for all.
     */
    uint64_t commits;
    /**
     * Offset of the first entry of the last commit, for `syna_db_wait_durable`.
     */
    uint64_t offset;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Reads the latest value of `key`, the one put last, into `*out`, which is 0 unless the call
 * succeeds. Reads wait for no write and no sync. A value of another kind is TYPE_MISMATCH.
 *
 * Threads: any. Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
 */
int32_t syna_get_float(const char *path,
                       const char *key,
                       double *out);

/**
 * Reads the latest value of `key`, an integer; otherwise as `syna_get_float`.
 * Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
 */
int32_t syna_get_int(const char *path, const char *key, int64_t *out);

/**
 * Returns the latest value of `key`, a text: UTF-8 with a NUL behind it that `*out_len` does not
 * count. NULL on errors; an empty text is not NULL. `*out_len` is 0 unless the call succeeds.
 *
 * Owned by the caller: freed by `syna_free_text(text, *out_len)`. Threads: any.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
 * INVALID_ARGUMENT.
 */
char *syna_get_text(const char *path, const char *key, size_t *out_len);

/**
 * Returns the latest value of `key`, bytes; no bytes are not NULL. Freed by
 * `syna_free_bytes(bytes, *out_len)`; otherwise as `syna_get_text`.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
 * INVALID_ARGUMENT.
 */
uint8_t *syna_get_bytes(const char *path, const char *key, size_t *out_len);

/**
 * Reads the value of `key` as of a time: that of the greatest timestamp <= `timestamp`, microseconds
 * since 1970-01-01 UTC, the last put of equals. Otherwise as `syna_get_float`.
 * Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
 */
int32_t syna_get_float_at(const char *path,
                          const char *key,
                          int64_t timestamp,
                          double *out);

/**
 * Reads the value of `key` as of a time: that of the greatest timestamp <= `timestamp`, microseconds
 * since 1970-01-01 UTC, the last put of equals. Otherwise as `syna_get_int`.
 * Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, INVALID_ARGUMENT.
 */
int32_t syna_get_int_at(const char *path,
                        const char *key,
                        int64_t timestamp,
                        int64_t *out);

/**
 * As `syna_get_text` as of a time, see `syna_get_float_at`.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
 * INVALID_ARGUMENT.
 */
char *syna_get_text_at(const char *path, const char *key, int64_t timestamp, size_t *out_len);

/**
 * As `syna_get_bytes` as of a time, see `syna_get_float_at`.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK,
 * INVALID_ARGUMENT.
 */
uint8_t *syna_get_bytes_at(const char *path, const char *key, int64_t timestamp, size_t *out_len);

/**
 * Returns the kind of the latest value of `key`, SYNA_KIND_*, always > 0, or an error.
 *
 * Threads: any. Status: the kind, PATH, KEY, KEY_NOT_FOUND, READ, LOOK.
 */
int32_t syna_get_kind(const char *path, const char *key);

/**
 * Returns 1 if `key` has a point, 0 if it has none, and an error below 0; never SYNA_ERR_GENERIC.
 *
 * Threads: any. Status: SUCCESS, 0, PATH, KEY, LOOK.
 */
int32_t syna_exists(const char *path, const char *key);

/**
 * Returns the keys that have points, in bytewise order: `*out_len` strings that end with NUL, and a
 * NULL behind them. NULL on errors; no keys at all are not NULL. If a key contains a NUL it is an
 * error (GENERIC) that names `syna_keys_with_lengths`.
 *
 * Owned by the caller, as one block: freed by `syna_free_keys(keys, *out_len)`. Threads: any.
 * Status in `syna_last_error()`: SUCCESS, PATH, LOOK, OUT_OF_MEMORY, GENERIC, INVALID_ARGUMENT.
 */
char **syna_keys(const char *path, size_t *out_len);

/**
 * As `syna_keys` with the length of each key, so that keys may contain NUL, and only those that match
 * `pattern`; NULL is all. `*` stands for any characters (also `/`), `?` for one, `[a-z]` for one of
 * these, `[!a-z]` for one of the others, `\\` takes the next literally.
 *
 * Owned by the caller, lengths and texts as one block: freed by `syna_free_keys(*out_keys, *out_len)`.
 * Threads: any. Status: SUCCESS, PATH, LOOK, OUT_OF_MEMORY, INVALID_ARGUMENT.
 */
int32_t syna_keys_with_lengths(const char *path,
                               const char *pattern,
                               char ***out_keys,
                               size_t **out_lengths,
                               size_t *out_len);

/**
 * Returns the doubles of `key`'s history in the order in which they were put, in one array of
 * `*out_len` values, aligned to 64 bytes: points of other kinds are left out. It is the caller's own
 * copy, which may be changed. NULL on errors; a history without doubles is not NULL.
 *
 * Owned by the caller: freed by `syna_free_tensor(tensor, *out_len)`, also after the database was
 * closed. Threads: any. Cost: that of copying the memory.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
 */
double *syna_get_history_tensor(const char *path,
                                const char *key,
                                size_t *out_len);

/**
 * As `syna_get_history_tensor` for the integers; freed by `syna_free_tensor_int(tensor, *out_len)`.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
 */
int64_t *syna_get_history_tensor_int(const char *path, const char *key, size_t *out_len);

/**
 * As `syna_get_history_tensor`, and puts into `*timestamps` an array with the timestamp of
 * each, microseconds since 1970-01-01 UTC, of the same commit. Both are the caller's: that one is
 * freed by `syna_free_tensor_int(*timestamps, *out_len)`. Both are NULL on errors.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
 */
double *syna_get_history_tensor_timed(const char *path,
                                      const char *key,
                                      int64_t **timestamps,
                                      size_t *out_len);

/**
 * As `syna_get_history_tensor_int`, and puts into `*timestamps` an array with the timestamp of
 * each, microseconds since 1970-01-01 UTC, of the same commit. Both are the caller's: that one is
 * freed by `syna_free_tensor_int(*timestamps, *out_len)`. Both are NULL on errors.
 * Status in `syna_last_error()`: SUCCESS, PATH, KEY, KEY_NOT_FOUND, READ, LOOK, INVALID_ARGUMENT.
 */
int64_t *syna_get_history_tensor_int_timed(const char *path,
                                           const char *key,
                                           int64_t **timestamps,
                                           size_t *out_len);

/**
 * Opens the database at `path` for writing with the default options, creating it if there is none,
 * or counts one more open of it. Every put is durable when it returns.
 *
 * The bytes of `path` are bound to the database: the same bytes lead to it until the last
 * `syna_close`, whatever `chdir`, renames and links do meanwhile. Another spelling of the file is
 * resolved at its first use and bound, too. In one process all names of one file are one database.
 * Where somebody else moved, replaced or removed the file (it is DETACHED then) the next open of its
 * path leads to what is there now, for the earlier opens as well; each still takes a `syna_close`.
 *
 * Threads: any; an open of one file waits for no other file. Status: SUCCESS, OPEN, TORN_TAIL_TOO_LONG, LOCKED,
 * OPTIONS_CONFLICT, NETWORK_FS.
 */
int32_t syna_open(const char *path);

/**
 * As `syna_open` with options; NULL is all defaults. With `read_only` it is `syna_open_read_only`.
 *
 * Status: SUCCESS, OPEN, TORN_TAIL_TOO_LONG, LOCKED, OPTIONS_CONFLICT, NETWORK_FS, FILE_NOT_FOUND, ALREADY_EXISTS,
 * INVALID_ARGUMENT.
 */
int32_t syna_open_with_config(const char *path,
                              const struct syna_options *options);

/**
 * Opens the database at `path` for reading, also while another process writes to it. Takes no lock
 * and changes nothing. A path that is open for writing stays so, and is counted.
 *
 * Threads: any. Status: SUCCESS, OPEN, FILE_NOT_FOUND.
 */
int32_t syna_open_read_only(const char *path);

/**
 * Ends one open of the database; the last one writes everything out, syncs it and releases the
 * lock. Whatever it reports, the open is ended. Arrays, tensors, texts and keys that were handed out
 * stay valid.
 *
 * Threads: any; calls of other threads that are under way end as they would, or with CLOSED.
 * Status: SUCCESS, PATH, IO, POISONED, DETACHED.
 */
int32_t syna_close(const char *path);

/**
 * Appends a double under `key` with the present time. Returns the offset of its entry in the file,
 * which is always > 0, or an error, which never is.
 *
 * With the default options it is durable on return. All 2^64 bit patterns are kept. Threads: any.
 * Status: the offset, PATH, KEY, WRITE.
 */
int64_t syna_put_float(const char *path, const char *key, double value);

/**
 * Appends an integer; otherwise as `syna_put_float`. Status: the offset, PATH, KEY, WRITE.
 */
int64_t syna_put_int(const char *path, const char *key, int64_t value);

/**
 * Appends a text, UTF-8 that ends with NUL; otherwise as `syna_put_float`. A text with NUL inside goes
 * by `syna_db_put_text`. Status: the offset, PATH, KEY, WRITE, TOO_LARGE.
 */
int64_t syna_put_text(const char *path,
                      const char *key,
                      const char *value);

/**
 * Appends `len` bytes; NULL is allowed where `len` is 0. Otherwise as `syna_put_float`.
 * Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, TOO_LARGE.
 */
int64_t syna_put_bytes(const char *path, const char *key, const uint8_t *value, size_t len);

/**
 * Appends a null: a point without a value, which is something else than no point. Otherwise as
 * `syna_put_float`. Status: the offset, PATH, KEY, WRITE.
 */
int64_t syna_put_null(const char *path, const char *key);

/**
 * As `syna_put_float` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
 * is; stamps may repeat and go back. Status: the offset, PATH, KEY, WRITE.
 */
int64_t syna_put_float_at(const char *path,
                          const char *key,
                          int64_t timestamp,
                          double value);

/**
 * As `syna_put_int` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
 * is; stamps may repeat and go back. Status: the offset, PATH, KEY, WRITE.
 */
int64_t syna_put_int_at(const char *path,
                        const char *key,
                        int64_t timestamp,
                        int64_t value);

/**
 * As `syna_put_text` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
 * is; stamps may repeat and go back.
 * Status: the offset, PATH, KEY, WRITE, TOO_LARGE.
 */
int64_t syna_put_text_at(const char *path,
                         const char *key,
                         int64_t timestamp,
                         const char *value);

/**
 * As `syna_put_bytes` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
 * is; stamps may repeat and go back.
 * Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, TOO_LARGE.
 */
int64_t syna_put_bytes_at(const char *path,
                          const char *key,
                          int64_t timestamp,
                          const uint8_t *value,
                          size_t len);

/**
 * As `syna_put_null` with the caller's timestamp, microseconds since 1970-01-01 UTC. Any stamp is kept as it
 * is; stamps may repeat and go back. Status: the offset, PATH, KEY, WRITE.
 */
int64_t syna_put_null_at(const char *path,
                         const char *key,
                         int64_t timestamp);

/**
 * Appends `len` doubles of one key, all with the present time, as one commit that is visible wholly or
 * not at all. Returns the offset of its first entry; with `len` 0 nothing is appended and it is the
 * end of the file's log. NULL is allowed where `len` is 0. Threads: any.
 * Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, OUT_OF_MEMORY.
 */
int64_t syna_put_floats_batch(const char *path,
                              const char *key,
                              const double *values,
                              size_t len);

/**
 * Appends `len` integers of one key, all with the present time, as one commit that is visible wholly or
 * not at all. Returns the offset of its first entry; with `len` 0 nothing is appended and it is the
 * end of the file's log. NULL is allowed where `len` is 0. Threads: any.
 * Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT, OUT_OF_MEMORY.
 */
int64_t syna_put_ints_batch(const char *path,
                            const char *key,
                            const int64_t *values,
                            size_t len);

/**
 * As `syna_put_floats_batch` with a timestamp for each value, microseconds since 1970-01-01 UTC.
 * Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT.
 */
int64_t syna_put_floats_batch_at(const char *path,
                                 const char *key,
                                 const int64_t *timestamps,
                                 const double *values,
                                 size_t len);

/**
 * As `syna_put_ints_batch` with a timestamp for each value, microseconds since 1970-01-01 UTC.
 * Status: the offset, PATH, KEY, WRITE, INVALID_ARGUMENT.
 */
int64_t syna_put_ints_batch_at(const char *path,
                               const char *key,
                               const int64_t *timestamps,
                               const int64_t *values,
                               size_t len);

/**
 * Deletes a key: its points are no longer seen, and a later put starts a new history. The bytes stay
 * in the file until a rewrite. A key that is not there is KEY_NOT_FOUND.
 *
 * Threads: any. Status: SUCCESS, PATH, KEY, KEY_NOT_FOUND, WRITE.
 */
int32_t syna_delete(const char *path,
                    const char *key);

/**
 * Opens the database at `path` and puts a handle on it into `*out`, which is NULL unless the call
 * succeeds. `options` are the defaults where NULL. Every handle counts as one open of the database.
 *
 * Ended by `syna_db_close(*out)`. Threads: any. Status: SUCCESS, OPEN, TORN_TAIL_TOO_LONG, LOCKED, OPTIONS_CONFLICT,
 * NETWORK_FS, FILE_NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT.
 */
int32_t syna_db_open(const char *path,
                     const struct syna_options *options,
                     struct syna_db **out);

/**
 * Ends the handle and its open of the database; the last open writes everything out, syncs it and
 * releases the lock. Whatever it reports, the handle is ended. Series and snapshots of it answer
 * CLOSED from then on, and have to be ended, too; everything that was handed out stays valid.
 *
 * Threads: any; calls of other threads that are under way end as they would, or with CLOSED.
 * Status: SUCCESS, HANDLE, IO, POISONED, DETACHED.
 */
int32_t syna_db_close(struct syna_db *db);

/**
 * Appends a double. `*timestamp` is in microseconds since 1970-01-01 UTC; NULL is now. The key has a
 * length and may contain NUL. Otherwise as `syna_put_float`. Status: the offset, HANDLE, KEY, WRITE.
 */
int64_t syna_db_put_float(const struct syna_db *db,
                          const char *key,
                          size_t key_len,
                          const int64_t *timestamp,
                          double value);

/**
 * Appends an integer; otherwise as `syna_db_put_float`. Status: the offset, HANDLE, KEY, WRITE.
 */
int64_t syna_db_put_int(const struct syna_db *db,
                        const char *key,
                        size_t key_len,
                        const int64_t *timestamp,
                        int64_t value);

/**
 * Appends a text of `len` bytes of UTF-8, which may contain NUL; otherwise as `syna_db_put_float`.
 * Status: the offset, HANDLE, KEY, WRITE, TOO_LARGE.
 */
int64_t syna_db_put_text(const struct syna_db *db,
                         const char *key,
                         size_t key_len,
                         const int64_t *timestamp,
                         const char *value,
                         size_t len);

/**
 * Appends `len` bytes; NULL is allowed where `len` is 0. Otherwise as `syna_db_put_float`.
 * Status: the offset, HANDLE, KEY, WRITE, TOO_LARGE.
 */
int64_t syna_db_put_bytes(const struct syna_db *db,
                          const char *key,
                          size_t key_len,
                          const int64_t *timestamp,
                          const uint8_t *value,
                          size_t len);

/**
 * Appends a null; otherwise as `syna_db_put_float`. Status: the offset, HANDLE, KEY, WRITE.
 */
int64_t syna_db_put_null(const struct syna_db *db,
                         const char *key,
                         size_t key_len,
                         const int64_t *timestamp);

/**
 * Appends `len` doubles as one commit. `timestamps` has as many, or is NULL for the present time.
 * Otherwise as `syna_put_floats_batch`. Status: the offset, HANDLE, KEY, WRITE, OUT_OF_MEMORY.
 */
int64_t syna_db_put_floats(const struct syna_db *db,
                           const char *key,
                           size_t key_len,
                           const int64_t *timestamps,
                           const double *values,
                           size_t len);

/**
 * Appends `len` integers as one commit. `timestamps` has as many, or is NULL for the present time.
 * Otherwise as `syna_put_ints_batch`. Status: the offset, HANDLE, KEY, WRITE, OUT_OF_MEMORY.
 */
int64_t syna_db_put_ints(const struct syna_db *db,
                         const char *key,
                         size_t key_len,
                         const int64_t *timestamps,
                         const int64_t *values,
                         size_t len);

/**
 * As `syna_delete`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, WRITE.
 */
int32_t syna_db_delete(const struct syna_db *db, const char *key, size_t key_len);

/**
 * Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
 * time. Otherwise as `syna_get_float` and `syna_get_float_at`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_db_get_float(const struct syna_db *db,
                          const char *key,
                          size_t key_len,
                          const int64_t *timestamp,
                          double *out);

/**
 * Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
 * time. Otherwise as `syna_get_int` and `syna_get_int_at`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_db_get_int(const struct syna_db *db,
                        const char *key,
                        size_t key_len,
                        const int64_t *timestamp,
                        int64_t *out);

/**
 * Hands out the latest text, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
 * succeeds, and its length. Freed by `syna_free_text(*out, *out_len)`. Otherwise as `syna_get_text`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_db_get_text(const struct syna_db *db,
                         const char *key,
                         size_t key_len,
                         const int64_t *timestamp,
                         char **out,
                         size_t *out_len);

/**
 * Hands out the latest bytes, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
 * succeeds, and its length. Freed by `syna_free_bytes(*out, *out_len)`. Otherwise as `syna_get_bytes`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_db_get_bytes(const struct syna_db *db,
                          const char *key,
                          size_t key_len,
                          const int64_t *timestamp,
                          uint8_t **out,
                          size_t *out_len);

/**
 * Returns the kind of the latest value, or of the one as of `*timestamp`: SYNA_KIND_*, always > 0.
 * Status: the kind, HANDLE, KEY, KEY_NOT_FOUND, READ, LOOK.
 */
int32_t syna_db_get_kind(const struct syna_db *db,
                         const char *key,
                         size_t key_len,
                         const int64_t *timestamp);

/**
 * As `syna_exists`. Status: SUCCESS, 0, HANDLE, KEY, LOOK.
 */
int32_t syna_db_exists(const struct syna_db *db, const char *key, size_t key_len);

/**
 * As `syna_keys_with_lengths`; the pattern has a length, NULL is all.
 * Status: SUCCESS, HANDLE, INVALID_PATH, LOOK, OUT_OF_MEMORY.
 */
int32_t syna_db_keys(const struct syna_db *db,
                     const char *pattern,
                     size_t pattern_len,
                     char ***out_keys,
                     size_t **out_lengths,
                     size_t *out_len);

/**
 * Hands out the doubles of `key`'s history in `*out`, which is NULL unless the call succeeds, and
 * where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_timed`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ, LOOK.
 */
int32_t syna_db_get_tensor(const struct syna_db *db,
                           const char *key,
                           size_t key_len,
                           int64_t **timestamps,
                           double **out,
                           size_t *out_len);

/**
 * Hands out the integers of `key`'s history in `*out`, which is NULL unless the call succeeds, and
 * where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_int_timed`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ, LOOK.
 */
int32_t syna_db_get_tensor_int(const struct syna_db *db,
                               const char *key,
                               size_t key_len,
                               int64_t **timestamps,
                               int64_t **out,
                               size_t *out_len);

/**
 * Exports the histories of `count` keys side by side as one struct array: `timestamp`, and a column for
 * each key, named after it, in this order. A row has of each key the point that it sees by the options
 * (NULL: the latest at or before the row's time, rows at the times of all points). `lengths` are those of
 * the keys, or NULL where they end with NUL; none may contain NUL, since the columns' names end with it.
 * No key twice. Otherwise as `syna_history_export`.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_frame_export(const char *path,
                          const char *const *keys,
                          const size_t *lengths,
                          size_t count,
                          const struct syna_frame_options *options,
                          struct ArrowArray *out_array,
                          struct ArrowSchema *out_schema);

/**
 * As `syna_frame_export` as a stream of one batch, for consumers of streams.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_frame_stream(const char *path,
                          const char *const *keys,
                          const size_t *lengths,
                          size_t count,
                          const struct syna_frame_options *options,
                          struct ArrowArrayStream *out);

/**
 * As `syna_frame_export`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_db_frame_export(const struct syna_db *db,
                             const char *const *keys,
                             const size_t *lengths,
                             size_t count,
                             const struct syna_frame_options *options,
                             struct ArrowArray *out_array,
                             struct ArrowSchema *out_schema);

/**
 * As `syna_frame_stream`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_db_frame_stream(const struct syna_db *db,
                             const char *const *keys,
                             const size_t *lengths,
                             size_t count,
                             const struct syna_frame_options *options,
                             struct ArrowArrayStream *out);

/**
 * As `syna_frame_export`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
 */
int32_t syna_snapshot_frame_export(const struct syna_snapshot *snapshot,
                                   const char *const *keys,
                                   const size_t *lengths,
                                   size_t count,
                                   const struct syna_frame_options *options,
                                   struct ArrowArray *out_array,
                                   struct ArrowSchema *out_schema);

/**
 * As `syna_frame_stream`. Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
 */
int32_t syna_snapshot_frame_stream(const struct syna_snapshot *snapshot,
                                   const char *const *keys,
                                   const size_t *lengths,
                                   size_t count,
                                   const struct syna_frame_options *options,
                                   struct ArrowArrayStream *out);

/**
 * Exports the points that `options` ask for (NULL: all of them) as one struct array with the fields
 * `timestamp` (timestamp[us, UTC], no nulls) and `value` (nullable, of the type that the options and the key's kinds ask
 * for): Arrow C Data Interface. Where the points lie in one piece of the file or were read before,
 * nothing is copied: the buffers point there. They are read-only.
 *
 * Owned by the caller once the call succeeds: array and schema are each released by their own
 * `release`, once, by any thread, in any order, also after the database was closed. Before any work
 * both are marked released (`release` is NULL), and so they are on errors. Threads: any.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_history_export(const char *path,
                            const char *key,
                            const struct syna_history_options *options,
                            struct ArrowArray *out_array,
                            struct ArrowSchema *out_schema);

/**
 * Exports the points that `options` ask for as a stream of record batches of about a million rows or
 * 64 MiB each, or one where they lie in one piece already: Arrow C Stream Interface. The stream sees
 * the commit it was made at, whatever is put or deleted meanwhile.
 *
 * Owned by the caller once the call succeeds, released by its `release`; `release` is NULL before any
 * work and on errors. Its functions may be called by any thread, one at a time. Batches stay valid
 * after the stream and the database are gone; `get_next` after the database was closed is an error
 * (EBADF).
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_history_stream(const char *path,
                            const char *key,
                            const struct syna_history_options *options,
                            struct ArrowArrayStream *out);

/**
 * Returns the points that `options` ask for as bytes of an Arrow IPC format, SYNA_IPC_STREAM or
 * SYNA_IPC_FILE, for languages without the C Data Interface. NULL on errors.
 *
 * Owned by the caller: freed by `syna_free_bytes(bytes, *out_len)`. Threads: any.
 * Status in `syna_last_error()`: SUCCESS, PATH, INVALID_ARGUMENT, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
uint8_t *syna_history_ipc(const char *path,
                          const char *key,
                          const struct syna_history_options *options,
                          int32_t format,
                          size_t *out_len);

/**
 * As `syna_history_export`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_db_history_export(const struct syna_db *db,
                               const char *key,
                               size_t key_len,
                               const struct syna_history_options *options,
                               struct ArrowArray *out_array,
                               struct ArrowSchema *out_schema);

/**
 * As `syna_history_stream`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_db_history_stream(const struct syna_db *db,
                               const char *key,
                               size_t key_len,
                               const struct syna_history_options *options,
                               struct ArrowArrayStream *out);

/**
 * As `syna_history_ipc`, in `*out`, which is NULL unless the call succeeds.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_db_history_ipc(const struct syna_db *db,
                            const char *key,
                            size_t key_len,
                            const struct syna_history_options *options,
                            int32_t format,
                            uint8_t **out,
                            size_t *out_len);

/**
 * As `syna_history_export`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
 */
int32_t syna_snapshot_history_export(const struct syna_snapshot *snapshot,
                                     const char *key,
                                     size_t key_len,
                                     const struct syna_history_options *options,
                                     struct ArrowArray *out_array,
                                     struct ArrowSchema *out_schema);

/**
 * As `syna_history_stream`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ, TOO_LARGE.
 */
int32_t syna_snapshot_history_stream(const struct syna_snapshot *snapshot,
                                     const char *key,
                                     size_t key_len,
                                     const struct syna_history_options *options,
                                     struct ArrowArrayStream *out);

/**
 * As `syna_history_ipc`, in `*out`, which is NULL unless the call succeeds.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
 */
int32_t syna_snapshot_history_ipc(const struct syna_snapshot *snapshot,
                                  const char *key,
                                  size_t key_len,
                                  const struct syna_history_options *options,
                                  int32_t format,
                                  uint8_t **out,
                                  size_t *out_len);

/**
 * Hands everything put so far to the operating system, so that other processes see it and the end of
 * this process does not lose it. Does something with BUFFERED only. Threads: any.
 * Status: SUCCESS, PATH, READ_ONLY, IO.
 */
int32_t syna_flush(const char *path);

/**
 * As `syna_flush`. Status: SUCCESS, HANDLE, READ_ONLY, IO.
 */
int32_t syna_db_flush(const struct syna_db *db);

/**
 * Makes everything put so far durable. Reads, and in other durabilities than FULL also puts, go on
 * meanwhile. Threads: any.
 * Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED.
 */
int32_t syna_sync(const char *path);

/**
 * As `syna_sync`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED.
 */
int32_t syna_db_sync(const struct syna_db *db);

/**
 * Moves a read-only database to the newest commit of its writer, over rewrites, too. One that writes
 * is always there. Threads: any.
 * Status: SUCCESS, PATH, CORRUPT, IO, DETACHED.
 */
int32_t syna_refresh(const char *path);

/**
 * As `syna_refresh`. Status: SUCCESS, HANDLE, CORRUPT, IO, DETACHED.
 */
int32_t syna_db_refresh(const struct syna_db *db);

/**
 * Rewrites the file with only the latest point of each key, its timestamp unchanged; all older points
 * are dropped. Puts and reads go on meanwhile, but for a short pause at the end; a crash leaves the
 * old file or the new one. Snapshots, arrays and tensors keep what they have. Threads: any.
 * Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT.
 */
int32_t syna_compact(const char *path);

/**
 * As `syna_compact`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT.
 */
int32_t syna_db_compact(const struct syna_db *db);

/**
 * Rewrites the file with all points in large chunks sorted by key. With `cold` 1 into the fewest bytes,
 * with 0 into those that are read fastest. Otherwise as `syna_compact`.
 * Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT.
 */
int32_t syna_optimize(const char *path,
                      int32_t cold);

/**
 * As `syna_optimize`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT.
 */
int32_t syna_db_optimize(const struct syna_db *db,
                         int32_t cold);

/**
 * Rewrites the file with the newest part of the histories whose keys match `pattern` (see
 * `syna_keys_with_lengths`), and all others whole: the last `last` points, or where `since` is not NULL
 * (and `last` is 0) those from the first one whose timestamp is >= `*since`. Otherwise as
 * `syna_compact`.
 * Status: SUCCESS, PATH, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT, INVALID_PATH.
 */
int32_t syna_retain(const char *path,
                    const char *pattern,
                    uint64_t last,
                    const int64_t *since);

/**
 * As `syna_retain`. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, BUSY, HARD_LINKED, CORRUPT, INVALID_ARGUMENT, INVALID_PATH.
 */
int32_t syna_db_retain(const struct syna_db *db,
                       const char *pattern,
                       uint64_t last,
                       const int64_t *since);

/**
 * Reads the whole file and checks every checksum and that the entries make up a history. It hands what
 * is buffered to the operating system first, and waits for a sync under way. Threads: any; neither
 * readers nor writers wait for it.
 * Status: SUCCESS, PATH, CORRUPT, IO, DETACHED.
 */
int32_t syna_verify(const char *path);

/**
 * As `syna_verify`. Status: SUCCESS, HANDLE, CORRUPT, IO, DETACHED.
 */
int32_t syna_db_verify(const struct syna_db *db);

/**
 * Copies the database as of the newest commit to `to`, a path where there is nothing yet, while others
 * write. Threads: any.
 * Status: SUCCESS, PATH, INVALID_PATH, ALREADY_EXISTS, CORRUPT, IO, DETACHED.
 */
int32_t syna_backup(const char *path,
                    const char *to);

/**
 * As `syna_backup`. Status: SUCCESS, HANDLE, INVALID_PATH, ALREADY_EXISTS, CORRUPT, IO, DETACHED.
 */
int32_t syna_db_backup(const struct syna_db *db, const char *to);

/**
 * Returns when the entry at `offset`, as a put returned it, is durable; syncs if nobody else does.
 * Threads: any. Status: SUCCESS, HANDLE, READ_ONLY, IO, POISONED, DETACHED, NO_SUCH_OFFSET.
 */
int32_t syna_db_wait_durable(const struct syna_db *db, int64_t offset);

/**
 * Copies every intact commit of the database at `from` to a new one at `to`, where there is nothing
 * yet. `from` is not changed, nor locked: stop whoever writes to it first. Threads: any.
 * Status: SUCCESS, INVALID_PATH, FILE_NOT_FOUND, ALREADY_EXISTS, NOT_A_DATABASE, UNSUPPORTED, IO.
 */
int32_t syna_salvage(const char *from, const char *to);

/**
 * Frees a text. `len` is the length it came with.
 *
 * A pointer that is NULL, was freed already, is another function's, or never came from here, and
 * a wrong length: nothing is freed and `syna_last_error()` is SYNA_ERR_NOT_OURS. A second free is
 * noticed as long as the address was not handed out again, which the last 1,024 freed blocks of
 * at most 4 KiB are not. The same holds for every function that frees.
 *
 * Threads: any, also another than the one that got it. Valid after the database was closed.
 * Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
 */
void syna_free_text(char *text, size_t len);

/**
 * Frees bytes. `len` is the length they came with. Otherwise as `syna_free_text`.
 * Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
 */
void syna_free_bytes(uint8_t *bytes, size_t len);

/**
 * Frees the doubles of a tensor. `len` is their number as it came. Otherwise as
 * `syna_free_text`.
 * Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
 */
void syna_free_tensor(double *tensor, size_t len);

/**
 * Frees the integers or timestamps of a tensor. `len` is their number as it came. Otherwise as
 * `syna_free_text`.
 * Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
 */
void syna_free_tensor_int(int64_t *tensor, size_t len);

/**
 * Frees keys, their lengths and their texts, which are one block. `len` is their number as it
 * came. Otherwise as `syna_free_text`.
 * Status in `syna_last_error()`: SUCCESS, NOT_OURS, INTERNAL_PANIC.
 */
void syna_free_keys(char **keys, size_t len);

/**
 * Exports the points of all keys that match `pattern` (see `syna_keys_with_lengths`) as one struct
 * array, key by key in bytewise order: `key` (dictionary<int32, utf8>), `timestamp` and `value`, whose
 * type is decided over all of them. `options` are NULL or of `syna_history_export` without rows and
 * `last`. Otherwise as that.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_scan_export(const char *path,
                         const char *pattern,
                         const struct syna_history_options *options,
                         struct ArrowArray *out_array,
                         struct ArrowSchema *out_schema);

/**
 * As `syna_scan_export` as a stream of batches of many keys, all with one dictionary; nothing that
 * matches is a stream without batches. Otherwise as `syna_history_stream`.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, LOOK.
 */
int32_t syna_scan_stream(const char *path,
                         const char *pattern,
                         const struct syna_history_options *options,
                         struct ArrowArrayStream *out);

/**
 * As `syna_scan_export`. Status: SUCCESS, HANDLE, INVALID_PATH, TYPE_MISMATCH, READ, LOOK, TOO_LARGE.
 */
int32_t syna_db_scan_export(const struct syna_db *db,
                            const char *pattern,
                            size_t pattern_len,
                            const struct syna_history_options *options,
                            struct ArrowArray *out_array,
                            struct ArrowSchema *out_schema);

/**
 * As `syna_scan_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, LOOK.
 */
int32_t syna_db_scan_stream(const struct syna_db *db,
                            const char *pattern,
                            size_t pattern_len,
                            const struct syna_history_options *options,
                            struct ArrowArrayStream *out);

/**
 * As `syna_scan_export`. Status: SUCCESS, HANDLE, INVALID_PATH, TYPE_MISMATCH, READ, TOO_LARGE.
 */
int32_t syna_snapshot_scan_export(const struct syna_snapshot *snapshot,
                                  const char *pattern,
                                  size_t pattern_len,
                                  const struct syna_history_options *options,
                                  struct ArrowArray *out_array,
                                  struct ArrowSchema *out_schema);

/**
 * As `syna_scan_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, CORRUPT.
 */
int32_t syna_snapshot_scan_stream(const struct syna_snapshot *snapshot,
                                  const char *pattern,
                                  size_t pattern_len,
                                  const struct syna_history_options *options,
                                  struct ArrowArrayStream *out);

/**
 * Puts a handle on one key into `*out`, which is NULL unless the call succeeds. The key need not
 * exist yet. Ended by `syna_series_close(*out)`. Threads: any. Status: SUCCESS, HANDLE, KEY, LOOK.
 */
int32_t syna_series_open(const struct syna_db *db,
                         const char *key,
                         size_t key_len,
                         struct syna_series **out);

/**
 * Ends a series, also one whose database was closed. Threads: any.
 * Status: SUCCESS, INVALID_ARGUMENT, CLOSED.
 */
int32_t syna_series_close(struct syna_series *series);

/**
 * Appends a double; otherwise as `syna_db_put_float`. Status: the offset, HANDLE, WRITE.
 */
int64_t syna_series_put_float(const struct syna_series *series,
                              const int64_t *timestamp,
                              double value);

/**
 * Appends an integer; otherwise as `syna_db_put_int`. Status: the offset, HANDLE, WRITE.
 */
int64_t syna_series_put_int(const struct syna_series *series,
                            const int64_t *timestamp,
                            int64_t value);

/**
 * Reads the latest value into `*out`; otherwise as `syna_get_float`.
 * Status: SUCCESS, HANDLE, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_series_get_float(const struct syna_series *series, double *out);

/**
 * Reads the latest value into `*out`; otherwise as `syna_get_int`.
 * Status: SUCCESS, HANDLE, KEY_NOT_FOUND, TYPE_MISMATCH, READ, LOOK.
 */
int32_t syna_series_get_int(const struct syna_series *series, int64_t *out);

/**
 * Takes a snapshot of the newest commit and puts it into `*out`, which is NULL unless the call
 * succeeds. It costs nothing; while it lives, what it sees is kept in memory and on disk.
 *
 * Ended by `syna_snapshot_release(*out)`. Threads: any. Status: SUCCESS, HANDLE, LOOK.
 */
int32_t syna_snapshot_take(const struct syna_db *db, struct syna_snapshot **out);

/**
 * Ends a snapshot, also one whose database was closed. Threads: any.
 * Status: SUCCESS, INVALID_ARGUMENT, CLOSED.
 */
int32_t syna_snapshot_release(struct syna_snapshot *snapshot);

/**
 * Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
 * time. Otherwise as `syna_get_float` and `syna_get_float_at`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
 */
int32_t syna_snapshot_get_float(const struct syna_snapshot *snapshot,
                                const char *key,
                                size_t key_len,
                                const int64_t *timestamp,
                                double *out);

/**
 * Reads the latest value of `key` into `*out`, or where `timestamp` is not NULL the value as of that
 * time. Otherwise as `syna_get_int` and `syna_get_int_at`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
 */
int32_t syna_snapshot_get_int(const struct syna_snapshot *snapshot,
                              const char *key,
                              size_t key_len,
                              const int64_t *timestamp,
                              int64_t *out);

/**
 * Hands out the latest text, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
 * succeeds, and its length. Freed by `syna_free_text(*out, *out_len)`. Otherwise as `syna_get_text`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
 */
int32_t syna_snapshot_get_text(const struct syna_snapshot *snapshot,
                               const char *key,
                               size_t key_len,
                               const int64_t *timestamp,
                               char **out,
                               size_t *out_len);

/**
 * Hands out the latest bytes, or the one as of `*timestamp`, in `*out`, which is NULL unless the call
 * succeeds, and its length. Freed by `syna_free_bytes(*out, *out_len)`. Otherwise as `syna_get_bytes`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, TYPE_MISMATCH, READ.
 */
int32_t syna_snapshot_get_bytes(const struct syna_snapshot *snapshot,
                                const char *key,
                                size_t key_len,
                                const int64_t *timestamp,
                                uint8_t **out,
                                size_t *out_len);

/**
 * Returns the kind of the latest value, or of the one as of `*timestamp`: SYNA_KIND_*, always > 0.
 * Status: the kind, HANDLE, KEY, KEY_NOT_FOUND, READ.
 */
int32_t syna_snapshot_get_kind(const struct syna_snapshot *snapshot,
                               const char *key,
                               size_t key_len,
                               const int64_t *timestamp);

/**
 * As `syna_exists`. Status: SUCCESS, 0, HANDLE, KEY.
 */
int32_t syna_snapshot_exists(const struct syna_snapshot *snapshot, const char *key, size_t key_len);

/**
 * As `syna_keys_with_lengths`; the pattern has a length, NULL is all.
 * Status: SUCCESS, HANDLE, INVALID_PATH, OUT_OF_MEMORY.
 */
int32_t syna_snapshot_keys(const struct syna_snapshot *snapshot,
                           const char *pattern,
                           size_t pattern_len,
                           char ***out_keys,
                           size_t **out_lengths,
                           size_t *out_len);

/**
 * Hands out the doubles of `key`'s history in `*out`, which is NULL unless the call succeeds, and
 * where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_timed`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ.
 */
int32_t syna_snapshot_get_tensor(const struct syna_snapshot *snapshot,
                                 const char *key,
                                 size_t key_len,
                                 int64_t **timestamps,
                                 double **out,
                                 size_t *out_len);

/**
 * Hands out the integers of `key`'s history in `*out`, which is NULL unless the call succeeds, and
 * where `timestamps` is not NULL their timestamps. Otherwise as `syna_get_history_tensor_int_timed`.
 * Status: SUCCESS, HANDLE, KEY, KEY_NOT_FOUND, READ.
 */
int32_t syna_snapshot_get_tensor_int(const struct syna_snapshot *snapshot,
                                     const char *key,
                                     size_t key_len,
                                     int64_t **timestamps,
                                     int64_t **out,
                                     size_t *out_len);

/**
 * Returns the code of this thread's last call: `SYNA_SUCCESS`, or the error that it reported.
 *
 * Every function sets it but this one, `syna_last_error_message`, `syna_error_name`,
 * `syna_version` and `syna_abi_version`.
 *
 * Threads: any.
 */
int32_t syna_last_error(void);

/**
 * Returns a sentence about this thread's last error, in UTF-8, never NULL; empty after success.
 *
 * Owned by the library: valid until this thread's next call. Threads: any.
 */
const char *syna_last_error_message(void);

/**
 * Returns the name of a code as it stands in this header, "unknown" for what is none. Never NULL.
 *
 * Owned by the library: valid for ever. Threads: any.
 */
const char *syna_error_name(int32_t code);

/**
 * Returns the version of the library, "major.minor.patch".
 *
 * Owned by the library: valid for ever. Threads: any.
 */
const char *syna_version(void);

/**
 * Returns the version of the interface that the library has, `SYNA_ABI_VERSION` when it was built.
 * It grows when a function or struct changes so that programs must be compiled again; additions
 * leave it as it is.
 *
 * Threads: any.
 */
int32_t syna_abi_version(void);

/**
 * Appends the record batches of a stream, in the long form: columns of keys, timestamps and values, by
 * default `key` (text or a dictionary of texts), `timestamp` and `value`; the value's type decides what
 * is stored, a null is a null. Each batch is one commit; with `atomic` all of them are. `*out` (may be
 * NULL) tells what was written, zeros on errors; where batches were committed before an error they stay,
 * and the message says how many.
 *
 * The stream is moved, whatever the call reports: afterwards `stream->release` is NULL, and its producer
 * was released. Only NULL and a released one are refused as they are. Its callbacks run in this thread
 * and may take their time and use this library. Threads: any.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
 */
int32_t syna_write_stream(const char *path,
                          const struct syna_write_options *options,
                          struct ArrowArrayStream *stream,
                          struct syna_written *out);

/**
 * As `syna_write_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
 */
int32_t syna_db_write_stream(const struct syna_db *db,
                             const struct syna_write_options *options,
                             struct ArrowArrayStream *stream,
                             struct syna_written *out);

/**
 * Appends one record batch, a struct array, as one commit; array and schema are moved as the stream of
 * `syna_write_stream` is. Otherwise as that.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION.
 */
int32_t syna_write_array(const char *path,
                         const struct syna_write_options *options,
                         struct ArrowArray *array,
                         struct ArrowSchema *schema,
                         struct syna_written *out);

/**
 * As `syna_write_array`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION.
 */
int32_t syna_db_write_array(const struct syna_db *db,
                            const struct syna_write_options *options,
                            struct ArrowArray *array,
                            struct ArrowSchema *schema,
                            struct syna_written *out);

/**
 * As `syna_write_stream` in the wide form: a column of timestamps, and for each key a column of its
 * values, named after it.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
 */
int32_t syna_write_wide_stream(const char *path,
                               const struct syna_write_options *options,
                               struct ArrowArrayStream *stream,
                               struct syna_written *out);

/**
 * As `syna_write_wide_stream`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION, TOO_LARGE.
 */
int32_t syna_db_write_wide_stream(const struct syna_db *db,
                                  const struct syna_write_options *options,
                                  struct ArrowArrayStream *stream,
                                  struct syna_written *out);

/**
 * As `syna_write_array` in the wide form: a column of timestamps, and for each key a column of its
 * values, named after it.
 * Status: SUCCESS, PATH, INVALID_ARGUMENT, WRITE, INVALID_DATA, SERIALIZATION.
 */
int32_t syna_write_wide_array(const char *path,
                              const struct syna_write_options *options,
                              struct ArrowArray *array,
                              struct ArrowSchema *schema,
                              struct syna_written *out);

/**
 * As `syna_write_wide_array`. Status: SUCCESS, HANDLE, INVALID_PATH, WRITE, INVALID_DATA, SERIALIZATION.
 */
int32_t syna_db_write_wide_array(const struct syna_db *db,
                                 const struct syna_write_options *options,
                                 struct ArrowArray *array,
                                 struct ArrowSchema *schema,
                                 struct syna_written *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SYNADB_H */

/* The short names of the codes. A program that has others of these names says SYNA_NO_SHORT_NAMES. */
#ifndef SYNA_NO_SHORT_NAMES
#ifndef ERR_SUCCESS
#define ERR_SUCCESS SYNA_SUCCESS
#endif
#ifndef ERR_GENERIC
#define ERR_GENERIC SYNA_ERR_GENERIC
#endif
#ifndef ERR_DB_NOT_FOUND
#define ERR_DB_NOT_FOUND SYNA_ERR_DB_NOT_FOUND
#endif
#ifndef ERR_INVALID_PATH
#define ERR_INVALID_PATH SYNA_ERR_INVALID_PATH
#endif
#ifndef ERR_IO
#define ERR_IO SYNA_ERR_IO
#endif
#ifndef ERR_SERIALIZATION
#define ERR_SERIALIZATION SYNA_ERR_SERIALIZATION
#endif
#ifndef ERR_KEY_NOT_FOUND
#define ERR_KEY_NOT_FOUND SYNA_ERR_KEY_NOT_FOUND
#endif
#ifndef ERR_TYPE_MISMATCH
#define ERR_TYPE_MISMATCH SYNA_ERR_TYPE_MISMATCH
#endif
#ifndef ERR_INTERNAL_PANIC
#define ERR_INTERNAL_PANIC SYNA_ERR_INTERNAL_PANIC
#endif
#endif /* SYNA_NO_SHORT_NAMES */
