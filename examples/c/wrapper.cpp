// The C++ wrapper: objects that own, exceptions that carry the code.
#include <iostream>
#include <synadb.hpp>

int main() try {
    syna::database db("house-cpp.syna");
    db.put("kitchen/temp", 21.5);
    db.put("kitchen/temp", 19.0);
    double sum = 0;
    for (double value : db.floats("kitchen/temp")) sum += value;
    std::cout << "sum " << sum << "\n";
    std::cout << "rows " << db.history("kitchen/temp").size() << "\n";
    db.close();
    return 0;
} catch (const syna::error& error) {
    std::cerr << error.name() << ": " << error.what() << "\n";
    return 1;
}
