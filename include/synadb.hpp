// SynaDB in C++17: a thin wrapper of synadb.h. Objects own what they hold and may be moved;
// failures are exceptions that carry the code. Header only: link libsynadb.
//
//     syna::database db("house.syna");
//     db.put("kitchen/temp", 21.5);
//     for (double value : db.floats("kitchen/temp")) ...
//
// Threads: any number may use one object at once, except while it is moved, closed or destroyed.

#ifndef SYNADB_HPP
#define SYNADB_HPP

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "synadb.h"

namespace syna {

/// A call that failed; `code()` is one of SYNA_ERR_*, `what()` a sentence.
class error : public std::runtime_error {
public:
    error(std::int32_t code, const std::string& what) : std::runtime_error(what), code_(code) {}

    std::int32_t code() const noexcept { return code_; }
    const char* name() const noexcept { return syna_error_name(code_); }

private:
    std::int32_t code_;
};

namespace detail {

[[noreturn]] inline void fail() { throw error(syna_last_error(), syna_last_error_message()); }

/// Throws unless the status is success.
inline void check(std::int32_t status) {
    if (status != SYNA_SUCCESS) fail();
}

/// The offset of a put, or an exception.
inline std::int64_t offset(std::int64_t offset) {
    if (offset <= 0) fail();
    return offset;
}

/// False where there is no such key, true on success, an exception otherwise.
inline bool found(std::int32_t status) {
    if (status == SYNA_ERR_KEY_NOT_FOUND) return false;
    check(status);
    return true;
}

inline const std::int64_t* pointer(const std::optional<std::int64_t>& timestamp) {
    return timestamp ? &*timestamp : nullptr;
}

/// No string_view is NULL to C: an empty one may point nowhere.
inline const char* data(std::string_view text) { return text.data() ? text.data() : ""; }

/// A path for C, where it ends with NUL: one with NUL inside would name another file.
inline const char* path(const std::string& path) {
    if (path.find('\0') != std::string::npos)
        throw error(SYNA_ERR_INVALID_PATH, "the path contains NUL");
    return path.c_str();
}

/// Any integer, as one of 64 bits.
template <class I>
std::int64_t integer(I value) {
    if constexpr (std::is_enum_v<I>) {
        return integer(static_cast<std::underlying_type_t<I>>(value));
    } else if constexpr (std::is_unsigned_v<I> && sizeof(I) >= sizeof(std::int64_t)) {
        if (value > static_cast<I>(std::numeric_limits<std::int64_t>::max()))
            throw error(SYNA_ERR_INVALID_ARGUMENT, "the integer has more than 63 bits");
        return static_cast<std::int64_t>(value);
    } else {
        return static_cast<std::int64_t>(value);
    }
}

/// Integers, and what becomes one by itself.
template <class I>
using if_integer =
    std::enable_if_t<std::is_integral_v<I> ||
                         (std::is_enum_v<I> && std::is_convertible_v<I, std::int64_t>),
                     int>;

}  // namespace detail

/// Microseconds since 1970-01-01 UTC; nothing is now, or the latest.
using timestamp = std::optional<std::int64_t>;

/// Somebody's values: a pointer and a length, as std::span of C++20.
template <class T>
class view {
public:
    constexpr view() noexcept = default;
    constexpr view(T* data, std::size_t size) noexcept : data_(data), size_(size) {}

    /// Of anything that has `data()` and `size()`: a vector, an array, a span.
    template <class C, class = decltype(static_cast<T*>(std::declval<C&>().data()))>
    constexpr view(C& values) noexcept : data_(values.data()), size_(values.size()) {}
    template <class C, class = decltype(static_cast<T*>(std::declval<const C&>().data()))>
    constexpr view(const C& values) noexcept : data_(values.data()), size_(values.size()) {}

    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T* begin() const noexcept { return data_; }
    constexpr T* end() const noexcept { return data_ + size_; }
    constexpr T& operator[](std::size_t at) const noexcept { return data_[at]; }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Values that the library handed out, returned when it is destroyed. They stay valid after the
/// database was closed.
template <class T, void (*Free)(T*, std::size_t)>
class owned : public view<T> {
public:
    owned() noexcept = default;
    owned(T* data, std::size_t size) noexcept : view<T>(data, size) {}
    owned(owned&& other) noexcept : view<T>(other) { static_cast<view<T>&>(other) = {}; }
    owned& operator=(owned&& other) noexcept {
        std::swap(static_cast<view<T>&>(*this), static_cast<view<T>&>(other));
        return *this;
    }
    owned(const owned&) = delete;
    owned& operator=(const owned&) = delete;
    ~owned() {
        if (this->data()) Free(this->data(), this->size());
    }
};

using float_tensor = owned<double, syna_free_tensor>;
using int_tensor = owned<std::int64_t, syna_free_tensor_int>;
using byte_buffer = owned<std::uint8_t, syna_free_bytes>;

/// An array of the Arrow C Data Interface with its schema, released when it is destroyed. An importer
/// that is given `array()` and `schema()` takes both over.
class arrow_array {
public:
    arrow_array() noexcept : array_{}, schema_{} {}
    arrow_array(arrow_array&& other) noexcept : array_(other.array_), schema_(other.schema_) {
        other.array_.release = nullptr;
        other.schema_.release = nullptr;
    }
    arrow_array& operator=(arrow_array&& other) noexcept {
        std::swap(array_, other.array_);
        std::swap(schema_, other.schema_);
        return *this;
    }
    arrow_array(const arrow_array&) = delete;
    arrow_array& operator=(const arrow_array&) = delete;
    ~arrow_array() {
        if (array_.release) array_.release(&array_);
        if (schema_.release) schema_.release(&schema_);
    }

    ArrowArray* array() noexcept { return &array_; }
    ArrowSchema* schema() noexcept { return &schema_; }
    /// Its rows; none once it was taken over.
    std::int64_t size() const noexcept { return array_.release ? array_.length : 0; }

private:
    ArrowArray array_;
    ArrowSchema schema_;
};

/// A stream of the Arrow C Stream Interface, released when it is destroyed.
class arrow_stream {
public:
    arrow_stream() noexcept : stream_{} {}
    arrow_stream(arrow_stream&& other) noexcept : stream_(other.stream_) {
        other.stream_.release = nullptr;
    }
    arrow_stream& operator=(arrow_stream&& other) noexcept {
        std::swap(stream_, other.stream_);
        return *this;
    }
    arrow_stream(const arrow_stream&) = delete;
    arrow_stream& operator=(const arrow_stream&) = delete;
    ~arrow_stream() {
        if (stream_.release) stream_.release(&stream_);
    }

    ArrowArrayStream* get() noexcept { return &stream_; }

private:
    ArrowArrayStream stream_;
};

/// Options with their size set; everything else is as by default until it is changed.
struct options : syna_options {
    options() noexcept : syna_options{} { struct_size = sizeof(syna_options); }
};

/// Which points of a history are asked for: all, until it is narrowed.
struct history_options : syna_history_options {
    history_options() noexcept : syna_history_options{} {
        struct_size = sizeof(syna_history_options);
    }
    /// Timestamps in [start, end).
    history_options& times(std::int64_t start, std::int64_t end) noexcept {
        by_time = SYNA_ON, time_start = start, time_end = end;
        return *this;
    }
    /// Places in [start, end), from 0 at the oldest.
    history_options& rows(std::uint64_t start, std::uint64_t end) noexcept {
        by_row = SYNA_ON, row_start = start, row_end = end;
        return *this;
    }
    /// SYNA_AS_* and SYNA_MISMATCH_*.
    history_options& as(std::int32_t type, std::int32_t mismatch = SYNA_MISMATCH_RAISE) noexcept {
        as_type = type, on_mismatch = mismatch;
        return *this;
    }
};

namespace detail {

/// The functions that read, of a database and of a snapshot.
template <class Handle>
struct calls;

template <>
struct calls<syna_db> {
    static constexpr auto get_float = syna_db_get_float;
    static constexpr auto get_int = syna_db_get_int;
    static constexpr auto get_text = syna_db_get_text;
    static constexpr auto get_bytes = syna_db_get_bytes;
    static constexpr auto get_kind = syna_db_get_kind;
    static constexpr auto exists = syna_db_exists;
    static constexpr auto keys = syna_db_keys;
    static constexpr auto tensor = syna_db_get_tensor;
    static constexpr auto tensor_int = syna_db_get_tensor_int;
    static constexpr auto history_export = syna_db_history_export;
    static constexpr auto history_stream = syna_db_history_stream;
    static constexpr auto history_ipc = syna_db_history_ipc;
    static constexpr auto close = syna_db_close;
};

template <>
struct calls<syna_snapshot> {
    static constexpr auto get_float = syna_snapshot_get_float;
    static constexpr auto get_int = syna_snapshot_get_int;
    static constexpr auto get_text = syna_snapshot_get_text;
    static constexpr auto get_bytes = syna_snapshot_get_bytes;
    static constexpr auto get_kind = syna_snapshot_get_kind;
    static constexpr auto exists = syna_snapshot_exists;
    static constexpr auto keys = syna_snapshot_keys;
    static constexpr auto tensor = syna_snapshot_get_tensor;
    static constexpr auto tensor_int = syna_snapshot_get_tensor_int;
    static constexpr auto history_export = syna_snapshot_history_export;
    static constexpr auto history_stream = syna_snapshot_history_stream;
    static constexpr auto history_ipc = syna_snapshot_history_ipc;
    static constexpr auto close = syna_snapshot_release;
};

/// What reads: a database as it is now, or a snapshot.
template <class Handle>
class reader {
    using call = calls<Handle>;

public:
    reader(reader&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    reader& operator=(reader&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    reader(const reader&) = delete;
    reader& operator=(const reader&) = delete;
    ~reader() {
        // Whoever wants to know how it went calls close().
        if (handle_) call::close(handle_);
    }

    /// The latest double, or the one as of a time; nothing where there is no such key.
    std::optional<double> get_float(std::string_view key, timestamp at = {}) const {
        double value;
        if (!found(call::get_float(handle_, data(key), key.size(), pointer(at), &value))) return {};
        return value;
    }
    std::optional<std::int64_t> get_int(std::string_view key, timestamp at = {}) const {
        std::int64_t value;
        if (!found(call::get_int(handle_, data(key), key.size(), pointer(at), &value))) return {};
        return value;
    }
    std::optional<std::string> get_text(std::string_view key, timestamp at = {}) const {
        char* text;
        std::size_t size;
        if (!found(call::get_text(handle_, data(key), key.size(), pointer(at), &text, &size)))
            return {};
        owned<char, syna_free_text> held(text, size);
        return std::string(text, size);
    }
    std::optional<byte_buffer> get_bytes(std::string_view key, timestamp at = {}) const {
        std::uint8_t* bytes;
        std::size_t size;
        if (!found(call::get_bytes(handle_, data(key), key.size(), pointer(at), &bytes, &size)))
            return {};
        return byte_buffer(bytes, size);
    }
    /// SYNA_KIND_*; nothing where there is no such key.
    std::optional<std::int32_t> kind(std::string_view key, timestamp at = {}) const {
        std::int32_t kind = call::get_kind(handle_, data(key), key.size(), pointer(at));
        if (kind > 0) return kind;
        if (kind != SYNA_ERR_KEY_NOT_FOUND) fail();
        return {};
    }
    bool exists(std::string_view key) const {
        std::int32_t exists = call::exists(handle_, data(key), key.size());
        if (exists < 0) fail();
        return exists == 1;
    }
    /// The keys that match a pattern, in bytewise order.
    std::vector<std::string> keys(std::string_view pattern = "*") const {
        char** texts;
        std::size_t *lengths, size;
        check(call::keys(handle_, data(pattern), pattern.size(), &texts, &lengths, &size));
        owned<char*, syna_free_keys> held(texts, size);
        std::vector<std::string> keys;
        keys.reserve(size);
        for (std::size_t at = 0; at < size; at++) keys.emplace_back(texts[at], lengths[at]);
        return keys;
    }
    /// The doubles of a history, others left out: a copy of the caller's.
    float_tensor floats(std::string_view key) const {
        double* values;
        std::size_t size;
        check(call::tensor(handle_, data(key), key.size(), nullptr, &values, &size));
        return float_tensor(values, size);
    }
    /// The integers of a history, others left out: a copy of the caller's.
    int_tensor ints(std::string_view key) const {
        std::int64_t* values;
        std::size_t size;
        check(call::tensor_int(handle_, data(key), key.size(), nullptr, &values, &size));
        return int_tensor(values, size);
    }
    /// A history as one Arrow array: shares memory with the store.
    arrow_array history(std::string_view key, const history_options& asked = {}) const {
        arrow_array out;
        check(call::history_export(handle_, data(key), key.size(), &asked, out.array(),
                                   out.schema()));
        return out;
    }
    /// A history as a stream of record batches.
    arrow_stream stream(std::string_view key, const history_options& asked = {}) const {
        arrow_stream out;
        check(call::history_stream(handle_, data(key), key.size(), &asked, out.get()));
        return out;
    }
    /// A history as bytes of an Arrow IPC format.
    byte_buffer ipc(std::string_view key, const history_options& asked = {},
                    std::int32_t format = SYNA_IPC_STREAM) const {
        std::uint8_t* bytes;
        std::size_t size;
        check(call::history_ipc(handle_, data(key), key.size(), &asked, format, &bytes, &size));
        return byte_buffer(bytes, size);
    }

    /// The handle, for what is not wrapped.
    Handle* handle() const noexcept { return handle_; }

    /// Ends it and tells how that went; it answers SYNA_ERR_INVALID_ARGUMENT from then on.
    void close() { check(call::close(std::exchange(handle_, nullptr))); }

protected:
    reader() noexcept = default;

    Handle* handle_ = nullptr;
};

}  // namespace detail

/// A database as of one commit.
class snapshot : public detail::reader<syna_snapshot> {
public:
    explicit snapshot(const syna_db* db) { detail::check(syna_snapshot_take(db, &handle_)); }
};

/// One key of a database, looked up once.
class series {
public:
    series(const syna_db* db, std::string_view key) {
        detail::check(syna_series_open(db, detail::data(key), key.size(), &handle_));
    }
    series(series&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    series& operator=(series&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    series(const series&) = delete;
    series& operator=(const series&) = delete;
    ~series() {
        if (handle_) syna_series_close(handle_);
    }

    std::int64_t put(double value, timestamp at = {}) {
        return detail::offset(syna_series_put_float(handle_, detail::pointer(at), value));
    }
    template <class I, detail::if_integer<I> = 0>
    std::int64_t put(I value, timestamp at = {}) {
        return detail::offset(
            syna_series_put_int(handle_, detail::pointer(at), detail::integer(value)));
    }
    std::optional<double> get_float() const {
        double value;
        if (!detail::found(syna_series_get_float(handle_, &value))) return {};
        return value;
    }
    std::optional<std::int64_t> get_int() const {
        std::int64_t value;
        if (!detail::found(syna_series_get_int(handle_, &value))) return {};
        return value;
    }

private:
    syna_series* handle_ = nullptr;
};

/// An open database.
class database : public detail::reader<syna_db> {
public:
    /// Opens the database at `path`, creating it if there is none unless the options say otherwise.
    explicit database(const std::string& path, const options& how = {}) {
        detail::check(syna_db_open(detail::path(path), &how, &handle_));
    }

    /// Appends a value; returns the offset of its entry, for `wait_durable`.
    std::int64_t put(std::string_view key, double value, timestamp at = {}) {
        return detail::offset(syna_db_put_float(handle_, detail::data(key), key.size(),
                                                detail::pointer(at), value));
    }
    /// Of any type of integer; INVALID_ARGUMENT where 64 bits with a sign do not hold it.
    template <class I, detail::if_integer<I> = 0>
    std::int64_t put(std::string_view key, I value, timestamp at = {}) {
        return detail::offset(syna_db_put_int(handle_, detail::data(key), key.size(),
                                              detail::pointer(at), detail::integer(value)));
    }
    std::int64_t put(std::string_view key, std::string_view text, timestamp at = {}) {
        return detail::offset(syna_db_put_text(handle_, detail::data(key), key.size(),
                                               detail::pointer(at), detail::data(text),
                                               text.size()));
    }
    /// Otherwise a literal would be a number.
    std::int64_t put(std::string_view key, const char* text, timestamp at = {}) {
        if (!text) throw error(SYNA_ERR_INVALID_PATH, "the text is NULL");
        return put(key, std::string_view(text), at);
    }
    std::int64_t put(std::string_view key, view<const std::uint8_t> bytes, timestamp at = {}) {
        return detail::offset(syna_db_put_bytes(handle_, detail::data(key), key.size(),
                                                detail::pointer(at), bytes.data(), bytes.size()));
    }
    std::int64_t put_null(std::string_view key, timestamp at = {}) {
        return detail::offset(
            syna_db_put_null(handle_, detail::data(key), key.size(), detail::pointer(at)));
    }
    /// Appends many values of one key as one commit, with as many timestamps or none.
    std::int64_t put_many(std::string_view key, view<const double> values,
                          view<const std::int64_t> timestamps = {}) {
        return detail::offset(syna_db_put_floats(handle_, detail::data(key), key.size(),
                                                 stamps(timestamps, values.size()), values.data(),
                                                 values.size()));
    }
    std::int64_t put_many(std::string_view key, view<const std::int64_t> values,
                          view<const std::int64_t> timestamps = {}) {
        return detail::offset(syna_db_put_ints(handle_, detail::data(key), key.size(),
                                               stamps(timestamps, values.size()), values.data(),
                                               values.size()));
    }
    /// Whether there was something to delete.
    bool erase(std::string_view key) {
        return detail::found(syna_db_delete(handle_, detail::data(key), key.size()));
    }

    snapshot take_snapshot() const { return snapshot(handle_); }
    syna::series open_series(std::string_view key) const { return syna::series(handle_, key); }

    void flush() { detail::check(syna_db_flush(handle_)); }
    void sync() { detail::check(syna_db_sync(handle_)); }
    void refresh() { detail::check(syna_db_refresh(handle_)); }
    void wait_durable(std::int64_t offset) { detail::check(syna_db_wait_durable(handle_, offset)); }
    void compact() { detail::check(syna_db_compact(handle_)); }
    void optimize(bool cold = false) { detail::check(syna_db_optimize(handle_, cold ? 1 : 0)); }
    void verify() const { detail::check(syna_db_verify(handle_)); }
    void backup(const std::string& to) const { detail::check(syna_db_backup(handle_, detail::path(to))); }

private:
    /// The timestamps of so many values; NULL where there are none, wherever nothing points.
    static const std::int64_t* stamps(view<const std::int64_t> timestamps, std::size_t values) {
        if (timestamps.empty()) return nullptr;
        if (timestamps.size() != values)
            throw error(SYNA_ERR_INVALID_ARGUMENT, "there are more or fewer timestamps than values");
        return timestamps.data();
    }
};

}  // namespace syna

#endif  // SYNADB_HPP
