// Arrow C++ on what the store hands out: a mean, a filter, a mean of each key; and a result that goes back in.
// Built with the headers and libraries that pyarrow brings, see CMakeLists.txt.
#include <iostream>

#include <arrow/acero/api.h>
#include <arrow/api.h>
#include <arrow/c/bridge.h>
#include <arrow/compute/api.h>
#include <synadb.hpp>

namespace ac = arrow::acero;
namespace cp = arrow::compute;

static std::vector<std::int64_t> hours(int count, double minutes_late) {
    std::vector<std::int64_t> times;
    for (int hour = 0; hour < count; hour++)
        times.push_back((hour * 60 + static_cast<std::int64_t>(minutes_late)) * 60'000'000);
    return times;
}

static arrow::Status run(syna::database& db) {
    ARROW_RETURN_NOT_OK(cp::Initialize());
    std::vector<double> jfk, lga;
    for (int hour = 0; hour < 48; hour++) jfk.push_back(10 + hour % 24), lga.push_back(12 + hour % 24);
    db.put_many("JFK/temp", jfk, hours(48, 0));
    db.put_many("LGA/temp", lga, hours(48, 10));

    // A history, batch by batch. The importer takes the stream over.
    syna::arrow_stream stream = db.stream("JFK/temp");
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ImportRecordBatchReader(stream.get()));
    ARROW_ASSIGN_OR_RAISE(auto history, reader->ToTable());
    ARROW_ASSIGN_OR_RAISE(auto mean, cp::Mean(history->GetColumnByName("value")));
    ARROW_ASSIGN_OR_RAISE(auto is_warm, cp::CallFunction("greater", {history->GetColumnByName("value"),
                                                                     arrow::MakeScalar(30.0)}));
    ARROW_ASSIGN_OR_RAISE(auto warm, cp::Filter(history, is_warm));
    std::cout << "mean " << mean.scalar()->ToString() << ", above 30: " << warm.table()->num_rows()
              << " of " << history->num_rows() << " hours\n";

    // All keys that match, grouped by key.
    if (syna_db_scan_stream(db.handle(), "*/temp", 6, nullptr, stream.get()) != SYNA_SUCCESS)
        return arrow::Status::IOError(syna_last_error_message());
    ARROW_ASSIGN_OR_RAISE(reader, arrow::ImportRecordBatchReader(stream.get()));
    ARROW_ASSIGN_OR_RAISE(auto scan, reader->ToTable());
    ac::Declaration plan = ac::Declaration::Sequence(
        {{"table_source", ac::TableSourceNodeOptions(scan)},
         {"aggregate", ac::AggregateNodeOptions({{"hash_mean", nullptr, "value", "mean"},
                                                 {"hash_max", nullptr, "value", "max"}},
                                                {"key"})}});
    ARROW_ASSIGN_OR_RAISE(auto groups, ac::DeclarationToTable(std::move(plan), /*use_threads=*/false));
    for (std::int64_t row = 0; row < groups->num_rows(); row++) {
        for (const auto& column : groups->columns()) {
            ARROW_ASSIGN_OR_RAISE(auto cell, column->GetScalar(row));
            if (cell->type->id() == arrow::Type::DICTIONARY) {
                const auto& coded = static_cast<const arrow::DictionaryScalar&>(*cell);
                ARROW_ASSIGN_OR_RAISE(cell, coded.GetEncodedValue());
            }
            std::cout << cell->ToString() << (column == groups->columns().back() ? "\n" : " ");
        }
    }

    // A frame, one row an hour; the difference of its columns is appended under a key of its own.
    const char* const keys[] = {"JFK/temp", "LGA/temp"};
    syna_frame_options every_hour{};
    every_hour.struct_size = sizeof every_hour;
    every_hour.every = 3'600'000'000;
    syna::arrow_array out;
    if (syna_db_frame_export(db.handle(), keys, nullptr, 2, &every_hour, out.array(), out.schema()) !=
        SYNA_SUCCESS)
        return arrow::Status::IOError(syna_last_error_message());
    ARROW_ASSIGN_OR_RAISE(auto frame, arrow::ImportRecordBatch(out.array(), out.schema()));
    ARROW_ASSIGN_OR_RAISE(auto warmer, cp::Subtract(frame->GetColumnByName("LGA/temp"),
                                                    frame->GetColumnByName("JFK/temp")));
    auto schema = arrow::schema({frame->schema()->field(0), arrow::field("warmer", arrow::float64())});
    auto batch = arrow::RecordBatch::Make(schema, frame->num_rows(), {frame->column(0), warmer.make_array()});
    ARROW_ASSIGN_OR_RAISE(auto batches, arrow::RecordBatchReader::Make({batch}));
    ARROW_RETURN_NOT_OK(arrow::ExportRecordBatchReader(batches, stream.get()));
    if (syna_db_write_wide_stream(db.handle(), nullptr, stream.get(), nullptr) != SYNA_SUCCESS)
        return arrow::Status::IOError(syna_last_error_message());
    std::cout << "LGA is warmer by " << db.get_float("warmer").value() << "\n";
    db.close();
    return arrow::Status::OK();
}

int main() try {
    syna::database db("airports-cpp.syna");
    arrow::Status status = run(db);
    if (!status.ok()) std::cerr << status.ToString() << "\n";
    return status.ok() ? 0 : 1;
} catch (const syna::error& error) {
    std::cerr << error.name() << ": " << error.what() << "\n";
    return 1;
}
