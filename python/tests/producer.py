"""A producer of the C Data and C Stream Interfaces that is nothing but its structs, and counts their releases."""

from __future__ import annotations

import ctypes as c
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any


class Schema(c.Structure):
    pass


class Array(c.Structure):
    pass


class Stream(c.Structure):
    pass


Schema._fields_ = [
    ("format", c.c_char_p),
    ("name", c.c_char_p),
    ("metadata", c.c_char_p),
    ("flags", c.c_int64),
    ("n_children", c.c_int64),
    ("children", c.POINTER(c.POINTER(Schema))),
    ("dictionary", c.POINTER(Schema)),
    ("release", c.c_void_p),
    ("private_data", c.c_void_p),
]
Array._fields_ = [
    ("length", c.c_int64),
    ("null_count", c.c_int64),
    ("offset", c.c_int64),
    ("n_buffers", c.c_int64),
    ("n_children", c.c_int64),
    ("buffers", c.POINTER(c.c_void_p)),
    ("children", c.POINTER(c.POINTER(Array))),
    ("dictionary", c.POINTER(Array)),
    ("release", c.c_void_p),
    ("private_data", c.c_void_p),
]
Stream._fields_ = [
    ("get_schema", c.c_void_p),
    ("get_next", c.c_void_p),
    ("get_last_error", c.c_void_p),
    ("release", c.c_void_p),
    ("private_data", c.c_void_p),
]

_new_capsule = c.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = c.py_object, [c.c_void_p, c.c_char_p, c.c_void_p]

NAMES = {Schema: b"arrow_schema", Array: b"arrow_array", Stream: b"arrow_array_stream"}


class Producer:
    """Makes structs, keeps all that they point to, and counts how often each kind is released."""

    def __init__(self, on_release: Callable[[], Any] = lambda: None) -> None:
        self.released: Counter[str] = Counter()
        self._kept: list[Any] = []
        self._releases = {kind: self._release_of(kind, on_release) for kind in NAMES}

    def _release_of(self, kind: Any, on_release: Callable[[], Any]) -> Any:
        def release(pointer: Any) -> None:
            assert pointer.contents.release, "released twice"
            self.released[kind.__name__] += 1
            on_release()
            pointer.contents.release = None

        return self._function(c.CFUNCTYPE(None, c.POINTER(kind)), release)

    def _function(self, kind: Any, function: Any) -> int:
        return c.cast(self._keep(kind(function)), c.c_void_p).value

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing

    def pointers(self, kind: Any, children: Sequence[Any]) -> Any:
        return self._keep((c.POINTER(kind) * len(children))(*map(c.pointer, children)))

    def buffer(self, content: bytes) -> Any:
        """Memory that is aligned; what lies behind it is there as well."""
        memory = self._keep((c.c_uint64 * (len(content) // 8 + 16))())
        c.memmove(memory, content, len(content))
        return memory

    def schema(self, form: str, name: str = "", children: Sequence[Schema] = (), **other: Any) -> Schema:
        made = Schema(format=form.encode(), name=name.encode(), flags=2, n_children=len(children))
        if children:
            made.children = self.pointers(Schema, children)
        return self._with(made, other)

    def array(
        self, rows: int, memory: Sequence[Any] = (), columns: Sequence[Array] = (), **other: Any
    ) -> Array:
        made = Array(length=rows, n_buffers=len(memory), n_children=len(columns))
        # Room for more than it says, so that a number that is too large leads nowhere bad.
        addresses = [buffer and c.addressof(buffer) for buffer in memory]
        made.buffers = self._keep((c.c_void_p * 16)(*addresses))
        if columns:
            made.children = self.pointers(Array, columns)
        return self._with(made, other)

    def _with(self, made: Any, other: dict[str, Any]) -> Any:
        made.release = self._releases[type(made)]
        for name, value in other.items():
            setattr(made, name, value)
        return self._keep(made)

    def stream(self, schema: Schema | int, arrays: Sequence[Array | int], words: bytes | None = None) -> Stream:
        """Gives these; an int is a status, an error for which there are words."""
        given = iter(arrays)

        def give(what: Any, out: Any) -> int:
            if isinstance(what, int):
                return what
            # Moved: what is left behind is no struct any more.
            c.memmove(out, c.byref(what), c.sizeof(what))
            return 0

        def get_schema(_: Any, out: Any) -> int:
            return give(schema, out)

        def get_next(_: Any, out: Any) -> int:
            return give(next(given, self.array(0, release=None)), out)

        made = Stream()
        of = c.POINTER(Stream)
        made.get_schema = self._function(c.CFUNCTYPE(c.c_int, of, c.POINTER(Schema)), get_schema)
        made.get_next = self._function(c.CFUNCTYPE(c.c_int, of, c.POINTER(Array)), get_next)
        # A pointer, not bytes: those that a function returns to C would not live.
        text = c.cast(self._keep(c.create_string_buffer(words)), c.c_void_p).value if words else None
        made.get_last_error = self._function(c.CFUNCTYPE(c.c_void_p, of), lambda _: text)
        return self._with(made, {})

    def capsule(self, made: Schema | Array | Stream) -> Any:
        """Without a destructor: whoever does not take what is in it does not release it."""
        return _new_capsule(c.addressof(made), NAMES[type(made)], None)

    def capsules(self, schema: Schema, array: Array) -> tuple[Any, Any]:
        return self.capsule(schema), self.capsule(array)

    # Three rows of the long form

    def long_schema(self, value: str = "g", **other: Any) -> Schema:
        columns = [("u", "key"), ("tsu:", "timestamp"), (value, "value")]
        return self.schema("+s", children=[self.schema(*column) for column in columns], **other)

    def long(self, value: Array | None = None, **other: Any) -> Array:
        value = value or self.array(3, self.doubles())
        texts = [None, self.buffer(struct.pack("<4i", 0, 1, 2, 3)), self.buffer(b"abc")]
        times = [None, self.buffer(struct.pack("<3q", 1, 2, 3))]
        return self.array(3, [None], [self.array(3, texts), self.array(3, times), value], **other)

    def doubles(self) -> list[Any]:
        return [None, self.buffer(struct.pack("<3d", 1.5, 2.5, 3.5))]
