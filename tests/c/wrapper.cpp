// The C++ wrapper: values come back, what is owned is returned once, failures are exceptions.

#include <cstring>
#include <thread>
#include <type_traits>

#include "synadb.hpp"

#include "check.h"

static std::int32_t code_of(void (*call)(syna::database&), syna::database& db) {
    try {
        call(db);
    } catch (const syna::error& error) {
        CHECK(*error.what() && std::strcmp(error.name(), "unknown"));
        return error.code();
    }
    return SYNA_SUCCESS;
}

static syna::database open_it() {
    syna::options how;
    how.durability = SYNA_DURABILITY_OS;
    return syna::database("wrapper.syna", how);
}

int main() {
    static_assert(!std::is_copy_constructible_v<syna::database>, "one owner");
    static_assert(std::is_nothrow_move_constructible_v<syna::database>, "moves do not throw");
    syna::database db = open_it();
    CHECK(db.put("f", 1.5, 100) > 0 && db.put("f", 2.5, 200) > 0);
    CHECK(db.get_float("f") == 2.5 && db.get_float("f", 150) == 1.5 && !db.get_float("none"));
    CHECK(db.put("i", 7) > 0 && db.get_int("i") == 7);
    CHECK(db.put("t", "text") > 0 && db.get_text("t") == "text");
    CHECK(db.put("t", std::string_view("a\0b", 3)) > 0 && db.get_text("t")->size() == 3);
    const std::vector<std::uint8_t> raw = {1, 0, 255};
    CHECK(db.put("b", syna::view<const std::uint8_t>(raw)) > 0);
    const auto bytes = db.get_bytes("b");
    CHECK(bytes && bytes->size() == 3 && (*bytes)[2] == 255);
    CHECK(db.put_null("n") > 0 && db.kind("n") == SYNA_KIND_NULL && !db.kind("none"));
    CHECK(db.exists("f") && !db.exists("none"));

    std::vector<double> values;
    std::vector<std::int64_t> times;
    for (int i = 0; i < 1000; i++) values.push_back(i * 0.5), times.push_back(i);
    CHECK(db.put_many("many", values, times) > 0);
    CHECK(db.put_many("ints", syna::view<const std::int64_t>(times)) > 0);
    syna::float_tensor tensor = db.floats("many");
    CHECK(tensor.size() == 1000 && tensor[999] == 499.5);
    syna::float_tensor moved = std::move(tensor);
    CHECK(tensor.empty() && moved.size() == 1000);
    double sum = 0;
    for (double value : moved) sum += value;
    CHECK(sum == 249750);
    CHECK(db.ints("ints")[7] == 7);
    CHECK((db.keys() == std::vector<std::string>{"b", "f", "i", "ints", "many", "n", "t"}));
    CHECK((db.keys("i*") == std::vector<std::string>{"i", "ints"}));

    syna::arrow_array array = db.history("many", syna::history_options().times(10, 20));
    CHECK(array.size() == 10 && array.schema()->n_children == 2);
    syna::arrow_stream stream = db.stream("many");
    ArrowArray batch;
    CHECK(stream.get()->get_next(stream.get(), &batch) == 0 && batch.length == 1000);
    batch.release(&batch);
    CHECK(db.ipc("many").size() > 8000);

    syna::snapshot snapshot = db.take_snapshot();
    syna::series series = db.open_series("f");
    CHECK(series.put(9.5) > 0 && series.get_float() == 9.5 && snapshot.get_float("f") == 2.5);
    std::thread([&] { CHECK(db.get_float("f") == 9.5); }).join();
    CHECK(db.erase("f") && !db.erase("f") && snapshot.exists("f"));
    db.wait_durable(db.put("f", 1.0));
    db.compact(), db.optimize(), db.verify(), db.sync(), db.flush(), db.refresh();
    db.backup("wrapper backup.syna");

    CHECK(code_of([](syna::database& d) { d.get_int("t"); }, db) == SYNA_ERR_TYPE_MISMATCH);
    CHECK(code_of([](syna::database& d) { d.put("", 1.0); }, db) == SYNA_ERR_EMPTY_KEY);
    CHECK(code_of([](syna::database& d) { d.history("none"); }, db) == SYNA_ERR_KEY_NOT_FOUND);
    CHECK(code_of([](syna::database& d) { d.put_many("x", std::vector<double>{1},
                                                     std::vector<std::int64_t>{1, 2}); }, db) ==
          SYNA_ERR_INVALID_ARGUMENT);
    CHECK(code_of([](syna::database&) { syna::database("no/such/folder/x.syna"); }, db) ==
          SYNA_ERR_IO);
    db.close();
    CHECK(code_of([](syna::database& d) { d.sync(); }, db) == SYNA_ERR_INVALID_ARGUMENT);
    CHECK(moved[1] == 0.5 && array.array()->length == 10);
    std::puts("wrapper: ok");
    return 0;
}
