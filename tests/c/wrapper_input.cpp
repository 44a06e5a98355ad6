// The C++ wrapper: what callers may hand in.

#include <cstring>
#include <limits>

#include "synadb.hpp"

#include "check.h"

template <class Call>
static std::int32_t code_of(Call call) {
    try {
        call();
    } catch (const syna::error& error) {
        return error.code();
    }
    return SYNA_SUCCESS;
}

enum old_enum { THREE = 3 };

template <class I>
static void comes_back(syna::database& db, I value) {
    CHECK(db.put("integer", value) > 0);
    CHECK(db.get_int("integer") == static_cast<std::int64_t>(value));
    syna::series series = db.open_series("series");
    CHECK(series.put(value) > 0);
    CHECK(series.get_int() == static_cast<std::int64_t>(value));
}

int main() {
    syna::database db("input.syna");
    // Every integer is one, and none is cut off.
    comes_back(db, 5);
    comes_back(db, 5L);
    comes_back(db, -5LL);
    comes_back(db, 5U);
    comes_back(db, 5UL);
    comes_back(db, 5ULL);
    comes_back(db, static_cast<short>(-7));
    comes_back(db, static_cast<std::uint8_t>(255));
    comes_back(db, true);
    comes_back(db, THREE);
    comes_back(db, std::numeric_limits<std::int64_t>::min());
    comes_back(db, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    CHECK(code_of([&] { db.put("integer", std::uint64_t{1} << 63); }) == SYNA_ERR_INVALID_ARGUMENT);
    CHECK(db.get_int("integer") == std::numeric_limits<std::int64_t>::max());
    db.put("float", 1.5f), db.put("float", 1.5);
    CHECK(db.get_float("float") == 1.5);
    const std::string text("t\0t", 3);
    db.put("text", text), db.put("bytes", std::vector<std::uint8_t>{1, 2});
    CHECK(db.get_text("text") == text && db.get_bytes("bytes")->size() == 2);

    const char* nothing = nullptr;
    CHECK(code_of([&] { db.put("text", nothing); }) == SYNA_ERR_INVALID_PATH);

    // A path with NUL is not the one before the NUL.
    const std::string path("inp\0ut", 6);
    CHECK(code_of([&] { syna::database other(path); }) == SYNA_ERR_INVALID_PATH);
    CHECK(code_of([&] { db.backup(path); }) == SYNA_ERR_INVALID_PATH);
    CHECK(code_of([&] { syna::options how; how.create = SYNA_CREATE_NEVER;
                        syna::database other("inp", how); }) == SYNA_ERR_FILE_NOT_FOUND);

    // No timestamps are none, wherever an empty vector points.
    const std::vector<double> values{1, 2};
    std::vector<std::int64_t> stamps;
    db.put_many("many", values, stamps);
    stamps.reserve(2);
    db.put_many("many", values, stamps);
    stamps.push_back(1);
    CHECK(code_of([&] { db.put_many("many", values, stamps); }) == SYNA_ERR_INVALID_ARGUMENT);
    stamps.push_back(2);
    db.put_many("many", values, stamps);
    CHECK(db.floats("many").size() == 6);

    // Moved to itself, it still holds what it held; moved from, it holds nothing.
    syna::database& same = db;
    db = std::move(same);
    syna::snapshot snapshot = db.take_snapshot();
    CHECK(snapshot.exists("many"));
    syna::float_tensor tensor = db.floats("many"), &itself = tensor;
    tensor = std::move(itself);
    CHECK(tensor.size() == 6);
    syna::arrow_array array = db.history("many"), taken = std::move(array);
    CHECK(array.size() == 0 && taken.size() == 6);
    syna::database moved = std::move(db);
    CHECK(code_of([&] { db.put("k", 1); }) == SYNA_ERR_INVALID_ARGUMENT);
    CHECK(moved.exists("many"));
    puts("wrapper input: ok");
}
