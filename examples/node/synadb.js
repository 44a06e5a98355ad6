// SynaDB from Node.js: a small client of the C interface by koffi. Histories arrive as Arrow tables,
// of the bytes of an Arrow IPC stream.
//
// SYNADB_LIBRARY names libsynadb.so where it is not installed.

import koffi from "koffi";
import { tableFromIPC } from "apache-arrow";

const library = koffi.load(process.env.SYNADB_LIBRARY ?? "libsynadb.so");
koffi.opaque("syna_db");

const c = {
  open: library.func("int32_t syna_db_open(const char* path, void* options, _Out_ syna_db** out)"),
  close: library.func("int32_t syna_db_close(syna_db* db)"),
  putFloat: library.func(
    "int64_t syna_db_put_float(syna_db* db, const char* key, size_t len, int64_t* timestamp, double value)"),
  putInt: library.func(
    "int64_t syna_db_put_int(syna_db* db, const char* key, size_t len, int64_t* timestamp, int64_t value)"),
  putText: library.func(
    "int64_t syna_db_put_text(syna_db* db, const char* key, size_t len, int64_t* timestamp, const char* text, size_t text_len)"),
  putFloats: library.func(
    "int64_t syna_db_put_floats(syna_db* db, const char* key, size_t len, int64_t* timestamps, double* values, size_t count)"),
  getFloat: library.func(
    "int32_t syna_db_get_float(syna_db* db, const char* key, size_t len, int64_t* timestamp, _Out_ double* out)"),
  getText: library.func(
    "int32_t syna_db_get_text(syna_db* db, const char* key, size_t len, int64_t* timestamp, _Out_ void** out, _Out_ size_t* out_len)"),
  tensor: library.func(
    "int32_t syna_db_get_tensor(syna_db* db, const char* key, size_t len, void* timestamps, _Out_ void** out, _Out_ size_t* out_len)"),
  ipc: library.func(
    "int32_t syna_db_history_ipc(syna_db* db, const char* key, size_t len, void* options, int32_t format, _Out_ void** out, _Out_ size_t* out_len)"),
  freeText: library.func("void syna_free_text(void* text, size_t len)"),
  freeBytes: library.func("void syna_free_bytes(void* bytes, size_t len)"),
  freeTensor: library.func("void syna_free_tensor(void* tensor, size_t len)"),
  lastError: library.func("int32_t syna_last_error()"),
  lastMessage: library.func("const char* syna_last_error_message()"),
  errorName: library.func("const char* syna_error_name(int32_t code)"),
  version: library.func("const char* syna_version()"),
};

const SUCCESS = 1;
const KEY_NOT_FOUND = -5;
const IPC_STREAM = 1;

/** A call that failed: `code` and `name` are those of the C header. */
export class SynaError extends Error {
  constructor() {
    super(c.lastMessage());
    this.code = c.lastError();
    this.name = c.errorName(this.code);
  }
}

function check(status) {
  if (status !== SUCCESS) throw new SynaError();
}

function offset(result) {
  if (result <= 0) throw new SynaError();
  return BigInt(result);
}

// What is handed to C is looked at first: there a number is taken for an address, a text ends at its
// first NUL, and elements of another size are read beyond their end.

function text(value, what) {
  if (typeof value !== "string") throw new TypeError(`${what} is not a string`);
  return value;
}

function int64(value) {
  if (typeof value !== "bigint") throw new TypeError("an integer or a time is not a BigInt");
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} does not fit into 64 bits`);
  return value;
}

function doubles(values) {
  if (values instanceof Float64Array) return values;
  return Float64Array.from(values, (value) => {
    if (typeof value !== "number") throw new TypeError("a value is not a number");
    return value;
  });
}

function times(values) {
  return values instanceof BigInt64Array ? values : BigInt64Array.from(values, int64);
}

/** Copies what the library handed out, and returns it there. */
function take(pointer, len, Type, free) {
  try {
    const bytes = Number(len) * Type.BYTES_PER_ELEMENT;
    return new Type(koffi.view(pointer, bytes).slice(0));
  } finally {
    free(pointer, len);
  }
}

export const version = c.version();

/** An open database. Times are microseconds since 1970-01-01 UTC, as BigInt; null is now. */
export class Database {
  #db;

  constructor(path) {
    if (text(path, "the path").includes("\0")) throw new TypeError("the path contains NUL");
    const out = [null];
    check(c.open(path, null, out));
    this.#db = out[0];
  }

  put(key, value, timestamp = null) {
    const len = Buffer.byteLength(text(key, "the key"));
    const at = timestamp === null ? null : BigInt64Array.of(int64(timestamp));
    if (typeof value === "bigint") return offset(c.putInt(this.#db, key, len, at, int64(value)));
    if (typeof value === "number") return offset(c.putFloat(this.#db, key, len, at, value));
    return offset(
      c.putText(this.#db, key, len, at, text(value, "the value"), Buffer.byteLength(value)));
  }

  /** Many doubles of one key as one commit: a Float64Array, or numbers that become one. */
  putMany(key, values, timestamps = null) {
    const len = Buffer.byteLength(text(key, "the key"));
    const numbers = doubles(values), at = timestamps === null ? null : times(timestamps);
    if (at !== null && at.length !== numbers.length) {
      throw new RangeError("there are more or fewer timestamps than values");
    }
    return offset(c.putFloats(this.#db, key, len, at, numbers, numbers.length));
  }

  /** The latest double; undefined where there is no such key. */
  getFloat(key) {
    const out = [0];
    const status = c.getFloat(this.#db, key, Buffer.byteLength(key), null, out);
    if (status === KEY_NOT_FOUND) return undefined;
    check(status);
    return out[0];
  }

  /** The latest text; undefined where there is no such key. */
  getText(key) {
    const out = [null], len = [0];
    const status = c.getText(this.#db, key, Buffer.byteLength(key), null, out, len);
    if (status === KEY_NOT_FOUND) return undefined;
    check(status);
    return Buffer.from(take(out[0], len[0], Uint8Array, c.freeText)).toString();
  }

  /** The doubles of a history as a Float64Array. */
  floats(key) {
    const out = [null], len = [0];
    check(c.tensor(this.#db, key, Buffer.byteLength(key), null, out, len));
    return take(out[0], len[0], Float64Array, c.freeTensor);
  }

  /** A history as an Arrow table of `timestamp` and `value`. */
  history(key) {
    const out = [null], len = [0];
    check(c.ipc(this.#db, key, Buffer.byteLength(key), null, IPC_STREAM, out, len));
    return tableFromIPC(take(out[0], len[0], Uint8Array, c.freeBytes));
  }

  close() {
    check(c.close(this.#db));
  }
}
