// Arrow C++ on both sides: it imports and validates in full what leaves, computes on it, and what it exports comes
// in; what either side holds outlives the other, and whatever fails is let go of.
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "synadb.hpp"

#include "check.h"

#include <arrow/acero/api.h>
#include <arrow/api.h>
#include <arrow/c/bridge.h>
#include <arrow/compute/api.h>

namespace ac = arrow::acero;
namespace cp = arrow::compute;

constexpr int ROWS = 30000;

static void ok(const arrow::Status& status) {
    if (!status.ok()) check_failed("arrow", 0, status.ToString().c_str());
}

template <class T>
static T get(arrow::Result<T> result) {
    ok(result.status());
    return std::move(result).ValueUnsafe();
}

static std::shared_ptr<arrow::RecordBatch> imported(syna::arrow_array out) {
    auto batch = get(arrow::ImportRecordBatch(out.array(), out.schema()));
    CHECK(!out.array()->release && !out.schema()->release);
    ok(batch->ValidateFull());
    return batch;
}

static std::shared_ptr<arrow::Table> imported(syna::arrow_stream out) {
    auto reader = get(arrow::ImportRecordBatchReader(out.get()));
    CHECK(!out.get()->release);
    auto table = get(reader->ToTable());
    ok(reader->Close());
    ok(table->ValidateFull());
    return table;
}

static bool are_equal(const arrow::RecordBatch& one, const arrow::RecordBatch& other) {
    return one.Equals(other, false, arrow::EqualOptions::Defaults().nans_equal(true));
}

static double value_of(int row) { return row % 7 == 0 ? std::nan("") : (row * 37 % 1000) * 0.1; }

static void fill(syna::database& db) {
    std::vector<double> values;
    std::vector<std::int64_t> times, whole;
    for (int row = 0; row < ROWS; row++)
        values.push_back(value_of(row)), times.push_back(row * 1000), whole.push_back(row % 50);
    db.put_many("a/real", values, times);
    db.put_many("b/real", values);
    db.put_many("whole", whole, times);
    db.put("text", "one"), db.put_null("text"), db.put("text", "three");
    const std::vector<std::uint8_t> raw = {0, 1};
    db.put("bytes", syna::view<const std::uint8_t>(raw));
    db.put("mixed", 1.5), db.put("mixed", "t"), db.put("mixed", 7);
    // Every class of double, to the bit.
    for (std::uint64_t bits : std::vector<std::uint64_t>{
             0x7ff8'0000'0000'0001u, 0x7ff0'0000'0000'0001u, 0xfff8'dead'beef'0000u,
                               0x8000'0000'0000'0000u, 0x7ff0'0000'0000'0000u, 0x0000'0000'0000'0001u})
        db.put("bits", std::bit_cast<double>(bits));
}

static void histories_of_every_type_are_valid(syna::database& db) {
    const std::pair<const char*, std::shared_ptr<arrow::DataType>> types[] = {
        {"a/real", arrow::float64()}, {"whole", arrow::int64()}, {"text", arrow::utf8()},
        {"bytes", arrow::binary()}};
    for (const auto& [key, type] : types) {
        auto batch = imported(db.history(key));
        CHECK(batch->schema()->field(0)->Equals(
            arrow::field("timestamp", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), false)));
        CHECK(batch->schema()->field(1)->Equals(arrow::field("value", type, true)));
        // By a stream the same, batch by batch; of a part a slice of it.
        auto table = imported(db.stream(key));
        CHECK(are_equal(*get(table->CombineChunksToBatch()), *batch));
    }
    auto part = imported(db.history("a/real", syna::history_options().rows(9999, 20001)));
    CHECK(part->num_rows() == 10002);
    auto values = std::static_pointer_cast<arrow::DoubleArray>(part->column(1));
    for (int row = 0; row < 10002; row++) {
        double is = values->Value(row), should = value_of(row + 9999);
        CHECK(is == should || (std::isnan(is) && std::isnan(should)));
    }
    auto text = std::static_pointer_cast<arrow::StringArray>(imported(db.history("text"))->column(1));
    CHECK(text->GetView(0) == "one" && text->IsNull(1) && text->GetView(2) == "three");
    auto mixed = imported(db.history("mixed"));
    CHECK(mixed->column(1)->type_id() == arrow::Type::STRUCT);
    mixed = imported(db.history("mixed", syna::history_options().as(SYNA_AS_UNION)));
    CHECK(mixed->column(1)->type_id() == arrow::Type::DENSE_UNION);
    CHECK(get(mixed->column(1)->GetScalar(2))->ToString().find("7") != std::string::npos);
    auto bits = std::static_pointer_cast<arrow::DoubleArray>(imported(db.history("bits"))->column(1));
    CHECK(std::bit_cast<std::uint64_t>(bits->Value(0)) == 0x7ff8'0000'0000'0001u);
    CHECK(std::bit_cast<std::uint64_t>(bits->Value(1)) == 0x7ff0'0000'0000'0001u);
    CHECK(std::bit_cast<std::uint64_t>(bits->Value(2)) == 0xfff8'dead'beef'0000u);
    CHECK(std::signbit(bits->Value(3)) && std::isinf(bits->Value(4)));
    CHECK(bits->Value(5) == std::numeric_limits<double>::denorm_min());
    // Nothing is copied from the second time on.
    auto buffer = [&] { return imported(db.history("a/real"))->column_data(1)->buffers[1]; };
    auto first = buffer();
    CHECK(first->address() == buffer()->address() && first->address() % 64 == 0);
}

static void kernels_and_plans_compute(syna::database& db) {
    std::map<std::string, std::pair<double, std::int64_t>> sums;
    for (int row = 0; row < ROWS; row++) {
        if (std::isnan(value_of(row))) continue;
        sums["a/real"].first += value_of(row), sums["a/real"].second++;
        sums["b/real"].first += value_of(row), sums["b/real"].second++;
    }
    auto table = imported(db.stream("a/real"));
    auto is_number = get(cp::CallFunction("invert", {get(cp::IsNan(table->column(1)))}));
    auto numbers = get(cp::Filter(table, is_number)).table();
    CHECK(numbers->num_rows() == sums["a/real"].second);
    auto mean = get(cp::Mean(numbers->column(1))).scalar_as<arrow::DoubleScalar>().value;
    CHECK(std::abs(mean - sums["a/real"].first / double(sums["a/real"].second)) < 1e-9);

    // Streamed into a plan of several threads, grouped by the dictionary of the scan.
    syna::arrow_stream stream;
    CHECK_IS(syna_db_scan_stream(db.handle(), "*/real", 6, nullptr, stream.get()), SYNA_SUCCESS);
    auto reader = get(arrow::ImportRecordBatchReader(stream.get()));
    ac::Declaration plan = ac::Declaration::Sequence(
        {{"record_batch_reader_source", ac::RecordBatchReaderSourceNodeOptions(reader)},
         {"filter", ac::FilterNodeOptions(cp::call("invert", {cp::call("is_nan", {cp::field_ref("value")})}))},
         {"aggregate",
          ac::AggregateNodeOptions({{"hash_sum", nullptr, "value", "sum"}, {"hash_count", nullptr, "value", "n"}},
                                   {"key"})}});
    auto groups = get(ac::DeclarationToTable(std::move(plan)));
    ok(groups->ValidateFull());
    CHECK(groups->num_rows() == 2);
    for (std::int64_t row = 0; row < 2; row++) {
        auto coded = std::static_pointer_cast<arrow::DictionaryScalar>(get(groups->GetColumnByName("key")->GetScalar(row)));
        auto key = get(coded->GetEncodedValue())->ToString();
        auto sum = std::static_pointer_cast<arrow::DoubleScalar>(get(groups->GetColumnByName("sum")->GetScalar(row)));
        auto n = std::static_pointer_cast<arrow::Int64Scalar>(get(groups->GetColumnByName("n")->GetScalar(row)));
        CHECK(sums.count(key) == 1 && n->value == sums[key].second);
        CHECK(std::abs(sum->value - sums[key].first) < 1e-3);
    }
    const char* const keys[] = {"a/real", "whole"};
    syna::arrow_array out;
    CHECK_IS(syna_db_frame_export(db.handle(), keys, nullptr, 2, nullptr, out.array(), out.schema()), SYNA_SUCCESS);
    auto frame = imported(std::move(out));
    CHECK(frame->num_rows() == ROWS && frame->num_columns() == 3);
    auto least = get(cp::MinMax(frame->GetColumnByName("whole"))).scalar_as<arrow::StructScalar>();
    CHECK(least.value[0]->ToString() == "0" && least.value[1]->ToString() == "49");
}

// Batches in the long form with keys in a dictionary; fails at one of them if it is to.
class batches : public arrow::RecordBatchReader {
public:
    explicit batches(int count, int fails_at = -1) : left_(count), fails_at_(fails_at) {
        auto indices = std::make_shared<arrow::Int32Array>(3, arrow::Buffer::FromVector(std::vector<std::int32_t>{0, 1, 0}));
        arrow::StringBuilder names;
        ok(names.AppendValues({"long/0", "long/1"}));
        auto keys = get(arrow::DictionaryArray::FromArrays(indices, get(names.Finish())));
        arrow::TimestampBuilder times(arrow::timestamp(arrow::TimeUnit::MILLI), arrow::default_memory_pool());
        ok(times.AppendValues({1, 2, 3}));
        arrow::DoubleBuilder values;
        ok(values.AppendValues({0.5, 1.5, 2.5}, {true, true, false}));
        auto schema = arrow::schema({arrow::field("key", keys->type()), arrow::field("timestamp", times.type()),
                                     arrow::field("value", arrow::float64())});
        batch_ = arrow::RecordBatch::Make(schema, 3, {keys, get(times.Finish()), get(values.Finish())});
    }
    std::shared_ptr<arrow::Schema> schema() const override { return batch_->schema(); }
    arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
        if (at_++ == fails_at_) return arrow::Status::IOError("the producer broke");
        *out = left_-- > 0 ? batch_ : nullptr;
        return arrow::Status::OK();
    }

private:
    std::shared_ptr<arrow::RecordBatch> batch_;
    int left_, fails_at_, at_ = 0;
};

static void what_it_exports_comes_in(syna::database& db) {
    syna::arrow_stream stream;
    syna_written written;
    std::weak_ptr<batches> seen;
    {
        auto reader = std::make_shared<batches>(4);
        seen = reader;
        ok(arrow::ExportRecordBatchReader(reader, stream.get()));
    }
    CHECK(!seen.expired());
    CHECK_IS(syna_db_write_stream(db.handle(), nullptr, stream.get(), &written), SYNA_SUCCESS);
    CHECK(!stream.get()->release && seen.expired());
    CHECK(written.points == 12 && written.commits == 4);
    auto back = imported(db.history("long/0"));
    CHECK(back->num_rows() == 8 && back->column(1)->null_count() == 4);
    CHECK(std::static_pointer_cast<arrow::TimestampArray>(back->column(0))->Value(1) == 3000);
    CHECK(db.get_float("long/1") == 1.5);

    // A producer that fails: its words are ours, what was committed stays, and it is let go of.
    {
        auto reader = std::make_shared<batches>(4, 2);
        seen = reader;
        ok(arrow::ExportRecordBatchReader(reader, stream.get()));
    }
    CHECK_IS(syna_db_write_stream(db.handle(), nullptr, stream.get(), &written), SYNA_ERR_SERIALIZATION);
    CHECK(std::string(syna_last_error_message()).find("the producer broke") != std::string::npos);
    CHECK(!stream.get()->release && seen.expired());
    CHECK(imported(db.history("long/0"))->num_rows() == 12);

    // A batch that is a slice, in the wide form.
    auto frame = imported(db.history("whole"))->Slice(100, 50);
    frame = get(frame->RenameColumns({"timestamp", "sliced"}));
    syna::arrow_array out;
    ok(arrow::ExportRecordBatch(*frame, out.array(), out.schema()));
    CHECK_IS(syna_db_write_wide_array(db.handle(), nullptr, out.array(), out.schema(), &written), SYNA_SUCCESS);
    CHECK(!out.array()->release && !out.schema()->release && written.points == 50);
    auto sliced = imported(db.history("sliced"));
    CHECK(sliced->column(1)->Equals(frame->column(1)) && sliced->column(0)->Equals(frame->column(0)));
    // A column that cannot be stored.
    auto lists = get(arrow::MakeArrayOfNull(arrow::list(arrow::int8()), 50));
    frame = get(frame->AddColumn(2, "lists", lists));
    ok(arrow::ExportRecordBatch(*frame, out.array(), out.schema()));
    CHECK_IS(syna_db_write_wide_array(db.handle(), nullptr, out.array(), out.schema(), &written), SYNA_ERR_INVALID_DATA);
    CHECK(!out.array()->release && !out.schema()->release && !db.exists("lists"));
}

static void what_it_holds_outlives_the_database(syna::database db) {
    auto batch = imported(db.history("a/real"));
    auto table = imported(db.stream("a/real"));
    syna::arrow_stream stream = db.stream("whole");
    auto reader = get(arrow::ImportRecordBatchReader(stream.get()));
    db.close();
    CHECK(std::remove("arrow-cpp.syna") == 0);
    std::shared_ptr<arrow::RecordBatch> next;
    CHECK(reader->ReadNext(&next).ToString().find("closed") != std::string::npos);
    CHECK(are_equal(*batch, *get(table->CombineChunksToBatch())));
    // Read and released in another thread.
    std::thread([batch = std::move(batch)]() mutable {
        ok(batch->ValidateFull());
        batch.reset();
    }).join();
    CHECK(std::static_pointer_cast<arrow::DoubleArray>(table->column(1)->chunk(0))->Value(1) == value_of(1));
}

int main() {
    ok(cp::Initialize());
    syna::options how;
    how.durability = SYNA_DURABILITY_OS;
    syna::database db("arrow-cpp.syna", how);
    fill(db);
    histories_of_every_type_are_valid(db);
    kernels_and_plans_compute(db);
    what_it_exports_comes_in(db);
    what_it_holds_outlives_the_database(std::move(db));
    std::puts("arrow c++: ok");
    return 0;
}
