"""Prints what a C++ compiler has to be told to use the Arrow C++ that pyarrow brings, an argument a line."""

import pyarrow

# The files by their names of this version: pyarrow installs no links without it, and making them
# (`pyarrow.create_library_symlinks()`) would change the installed package.
version = pyarrow.cpp_build_info.so_version
# As a system's, so that its headers' warnings are not this project's.
print("-isystem", pyarrow.get_include(), sep="\n")
for folder in pyarrow.get_library_dirs():
    print(f"-L{folder}", f"-Wl,-rpath,{folder}", sep="\n")
# Kernels and plans are in libraries of their own; pyarrow.get_libraries() names Python's beside the first.
for library in ("arrow", "arrow_compute", "arrow_acero"):
    print(f"-l:lib{library}.so.{version}")
