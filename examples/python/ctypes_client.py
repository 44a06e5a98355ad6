"""The C interface from Python by ctypes, as programs that know only the classic calls use it.

With NumPy, where it is installed, a history is an array without another copy. SYNADB_LIBRARY names
libsynadb.so where it is not installed.
"""

import ctypes
import os

lib = ctypes.CDLL(os.environ.get("SYNADB_LIBRARY", "libsynadb.so"))
lib.syna_open.argtypes = [ctypes.c_char_p]
lib.syna_open.restype = ctypes.c_int32
lib.syna_close.argtypes = [ctypes.c_char_p]
lib.syna_close.restype = ctypes.c_int32
lib.syna_put_float.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_double]
lib.syna_put_float.restype = ctypes.c_int64
lib.syna_get_float.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.POINTER(ctypes.c_double),
]
lib.syna_get_float.restype = ctypes.c_int32
lib.syna_get_history_tensor.argtypes = [
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.POINTER(ctypes.c_size_t),
]
lib.syna_get_history_tensor.restype = ctypes.POINTER(ctypes.c_double)
lib.syna_free_tensor.argtypes = [ctypes.POINTER(ctypes.c_double), ctypes.c_size_t]
lib.syna_free_tensor.restype = None
lib.syna_last_error_message.restype = ctypes.c_char_p


def main():
    path, key = b"ctypes.syna", b"sensor/temp"
    assert lib.syna_open(path) == 1, lib.syna_last_error_message()
    for value in (21.5, 22.0, 22.5):
        assert lib.syna_put_float(path, key, value) > 0

    latest = ctypes.c_double()
    assert lib.syna_get_float(path, key, ctypes.byref(latest)) == 1
    assert latest.value == 22.5
    assert lib.syna_get_float(path, b"absent", ctypes.byref(latest)) == -5

    length = ctypes.c_size_t()
    tensor = lib.syna_get_history_tensor(path, key, ctypes.byref(length))
    assert tensor, lib.syna_last_error_message()
    assert tensor[: length.value] == [21.5, 22.0, 22.5]
    try:
        import numpy
    except ImportError:
        print("NumPy is not installed: the tensor was read as a list")
    else:
        array = numpy.ctypeslib.as_array(tensor, shape=(length.value,))
        assert array.sum() == 66.0
        array *= 2  # the tensor is the caller's own
        assert tensor[0] == 43.0
        del array
    lib.syna_free_tensor(tensor, length)
    assert lib.syna_close(path) == 1
    print("ok")


main()
