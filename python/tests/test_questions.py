"""What is asked of histories, against plain Python over the points that were appended.

Whatever the store answers from zone maps, caches, maps and tails must be what a loop over all points finds.
"""

from __future__ import annotations

import math
import struct
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support import needs

import synadb

pa = needs("pyarrow")

LOW, HIGH = -(2**63), 2**63 - 1
NUMBERS = ["count", "nulls", "nans", "min", "max", "sum", "mean", "first", "last"]


def exact(value):
    """Something that is equal exactly if the stored bits are."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def kind_of(value):
    return {type(None): "null", float: "float", int: "int", str: "text", bytes: "bytes"}[type(value)]


# What is stored


FLOATS = st.one_of(
    st.floats(width=64),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 0.1, 2.0**53]),
    st.integers(-50, 50).map(lambda n: n / 10),
)
SMALL = st.integers(-20, 20)
INTS = st.one_of(SMALL, SMALL, st.sampled_from([LOW, HIGH, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1]))
TEXTS = st.sampled_from(["", "a", "1.5", "é", "\0", "x" * 300])
BYTES = st.sampled_from([b"", b"a", b"\xff", "é".encode(), b"\0" * 300])
VALUES = {
    "floats": FLOATS,
    "floats and nulls": st.one_of(FLOATS, FLOATS, st.none()),
    "ints": INTS,
    "small ints and nulls": st.one_of(SMALL, SMALL, st.none()),
    "small ints and floats": st.one_of(SMALL, FLOATS, st.none()),
    "ints and floats": st.one_of(INTS, FLOATS, st.none()),
    "texts": st.one_of(TEXTS, st.none()),
    "bytes": st.one_of(BYTES, st.none()),
    "nulls": st.none(),
    "anything": st.one_of(FLOATS, INTS, TEXTS, BYTES, st.none()),
}
STAMPS = {
    "rising": lambda n, rng: np.cumsum(rng.integers(0, 4, n)) - 20,
    "anyhow": lambda n, rng: rng.integers(-30, 30, n),
    "ends": lambda n, rng: np.array([LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH])[rng.integers(0, 7, n)],
    "sorted ends": lambda n, rng: np.sort(np.array([LOW, -1, 0, HIGH - 1, HIGH])[rng.integers(0, 5, n)]),
    "old": lambda n, rng: np.cumsum(rng.integers(0, 9, n)) - 5_000_000_000_000_000,
    "equal": lambda n, rng: np.full(n, 7),
}


@st.composite
def points(draw, kinds=None):
    """Parts, each appended in a way of its own."""
    values = VALUES[draw(st.sampled_from(kinds or sorted(VALUES)))]
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        few = draw(st.lists(values, min_size=1, max_size=40))
        # Many blocks of the same few values: what is stored in columns has 8,192 rows each.
        times = draw(st.sampled_from([1, 1, 1, 2, 40, 700]))
        how = draw(st.sampled_from(["batch", "batch", "one by one"])) if times == 1 else "batch"
        seed = draw(st.integers(0, 2**32 - 1))
        stamps = STAMPS[draw(st.sampled_from(sorted(STAMPS)))](len(few) * times, np.random.default_rng(seed))
        parts.append((how, few * times, [int(stamp) for stamp in stamps]))
    return parts


class Filled:
    """A database with the points, in a file of its own."""

    def __init__(self, keys, encode, then):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "db.syna"
        options = {"durability": "os", "enable_delta": encode, "enable_compression": encode}
        self.db = synadb.open(path, **options)
        self.points = {}
        for key, parts in keys.items():
            for how, values, stamps in parts:
                if how == "batch":
                    self.db.append_batch(key, values, stamps)
                else:
                    for value, stamp in zip(values, stamps, strict=True):
                        self.db.append(key, value, stamp)
                self.points.setdefault(key, []).extend(zip(stamps, values, strict=True))
        if then == "reopened":
            self.db.close()
            self.db = synadb.open(path, mode="r")
        elif then == "optimized":
            self.db.optimize()

    def __enter__(self):
        return self.db, self.points

    def __exit__(self, *_):
        self.db.close()
        self.folder.cleanup()


DATABASES = {
    "encode": st.booleans(),
    "then": st.sampled_from(["kept", "reopened", "optimized"]),
}


# What the documentation says


def natural(points):
    kinds = {kind_of(value) for _, value in points} - {"null"}
    if kinds == {"int"}:
        return "int"
    if kinds <= {"float"}:
        return "float"
    if kinds == {"int", "float"} and all(abs(v) <= 2**53 for _, v in points if isinstance(v, int)):
        return "float"
    return kinds.pop() if len(kinds) == 1 else "struct"


class Mismatch(Exception):
    pass


def text_of(value):
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return None


def as_type(value, wished):
    """The value in this type, or Mismatch."""
    kind = kind_of(value)
    if kind == "null" or kind == wished or wished in ("struct", "union"):
        return value
    if wished == "float" and kind == "int" and abs(value) <= 2**53:
        return float(value)
    if wished == "text" and kind == "int":
        return str(value)
    if wished == "text" and kind == "float":
        return text_of(value) or ("float", exact(value))
    if wished == "text" and kind == "bytes":
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Mismatch from None
    if wished == "bytes" and kind == "text":
        return value.encode()
    raise Mismatch


def expected_of(points, wished, on_mismatch, order, start, end, rows):
    kept = points[slice(*rows)] if rows else list(points)
    kept = [p for p in kept if (start is None or p[0] >= start) and (end is None or p[0] < end)]
    wished = natural(points) if wished in (None, "natural") else wished
    out = []
    for stamp, value in kept:
        try:
            out.append((stamp, as_type(value, wished)))
        except Mismatch:
            if on_mismatch == "raise":
                raise
            if on_mismatch == "null":
                out.append((stamp, None))
    if order == "time":
        out.sort(key=lambda point: point[0])
    return wished, out


def in_time(points, start, end):
    return expected_of(points, "struct", "raise", "append", start, end, None)[1]


def same(found, expected):
    if isinstance(expected, tuple):
        return isinstance(found, str) and exact(float(found)) == expected[1]
    return type(found) is type(expected) and exact(found) == exact(expected)


def check(batch, expected):
    stamps = batch["timestamp"].to_numpy().view("i8").tolist()
    assert stamps == [stamp for stamp, _ in expected]
    values = batch["value"].to_pylist()
    for row, (value, (_, wanted)) in enumerate(zip(values, expected, strict=True)):
        assert same(value, wanted), f"row {row}: {value!r}, not {wanted!r}"


BOUNDS = st.one_of(
    st.none(), st.integers(-40, 60), st.sampled_from([LOW, LOW + 1, HIGH - 1, HIGH, 1400, 14000])
)


@given(
    points(),
    st.fixed_dictionaries(DATABASES),
    st.lists(
        st.tuples(
            st.sampled_from([None, "natural", "struct", "float", "int", "text", "bytes", "union"]),
            st.sampled_from(["raise", "null", "skip"]),
            st.sampled_from(["append", "time"]),
            BOUNDS,
            BOUNDS,
            st.one_of(st.none(), st.tuples(st.integers(-50, 30_000), st.integers(-50, 30_000))),
        ),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_histories(parts, how, asked, data):
    with Filled({"k": parts}, **how) as (db, all_points):
        points = all_points["k"]
        kind = natural(points)
        assert db["k"].type.lower().startswith({"text": "utf8", "bytes": "binary"}.get(kind, kind))
        for wished, on_mismatch, order, start, end, rows in asked:
            forms = {"as_type": wished, "on_mismatch": on_mismatch, "order": order}
            h = db.history("k", start=start, end=end, rows=rows, **forms)
            try:
                wished, expected = expected_of(points, wished, on_mismatch, order, start, end, rows)
            except Mismatch:
                with pytest.raises(synadb.TypeMismatchError):
                    h.read()
                continue
            assert len(h) == len(expected)
            # What is read once may come from elsewhere the second time, and alone.
            if data.draw(st.booleans(), "columns first"):
                assert len(h.values) == len(h.timestamps) == len(expected)
            check(h.read(), expected)
            check(h.read(), expected)
            if wished != "union":
                table = pa.table(h)
                assert table["timestamp"].cast(pa.int64()).to_pylist() == [stamp for stamp, _ in expected]
                if wished != "struct":
                    found, wanted = table["value"].to_pylist(), [value for _, value in expected]
                    assert all(map(same, found, wanted)) and len(found) == len(wanted)
            if order == "append":
                a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(expected))] * 2), "cut"))
                check(h[a:b].read(), expected[a:b])
                check(h[a:b][1:].read(), expected[a:b][1:])
                check(h.last(b - a).read(), expected[len(expected) - (b - a) :])
                # Questions are about the points that are read, whatever skip has left out.
                assert h[a:b].stats().count == b - a
                assert sum(h[a:b].resample(7, "count")["count"].to_pylist()) == b - a
                times = [stamp for stamp, _ in expected[a:b]]
                assert micros_of(h[a:b].stats().end) == max(times, default=None)
            if wished in ("float", "int"):
                check_numpy(h, expected, wished)


def check_numpy(h, expected, wished):
    values = [value for _, value in expected]
    has_nulls = None in values

    def equal(array, filled):
        return array.tobytes() == np.array(filled, dtype=array.dtype).tobytes()

    if wished == "float":
        filled = [math.nan if v is None else v for v in values]
        found = h.to_numpy()
        assert found.dtype == "f8" and found.shape == (len(values),)
        np.testing.assert_array_equal(found, filled)
        assert equal(h.to_numpy(nulls=-0.0), [-0.0 if v is None else v for v in values])
    else:
        if has_nulls:
            with pytest.raises(ValueError):
                h.to_numpy()
        else:
            found = h.to_numpy()
            assert found.dtype == "i8" and found.tolist() == values
        assert h.to_numpy(nulls=LOW).tolist() == [LOW if v is None else v for v in values]
        if all(v is None or abs(v) <= 2**53 for v in values):
            np.testing.assert_array_equal(
                h.to_numpy(nulls="nan"), [math.nan if v is None else float(v) for v in values]
            )
        else:
            with pytest.raises(ValueError):
                h.to_numpy(nulls="nan")
    masked = h.to_numpy(nulls="mask")
    assert masked.mask.tolist() == [v is None for v in values]
    assert all(map(same, masked.tolist(), values))
    assert all(map(same, h.to_numpy(nulls="object").tolist(), values))


# Statistics and buckets


def total_less(a, b):
    """-0.0 is below 0.0."""
    return (a, math.copysign(1, a)) < (b, math.copysign(1, b))


def aggregates_of(points, all_ints):
    """What is told of points; a sum as the numbers that are in it."""
    numbers = [(t, v) for t, v in points if isinstance(v, (int, float))]
    cast = int if all_ints else float
    real = [cast(v) for _, v in numbers if not (isinstance(v, float) and math.isnan(v))]
    low = high = None
    for value in real:
        low = value if low is None or total_less(value, low) else low
        high = value if high is None or total_less(high, value) else high
    first = min(enumerate(numbers), key=lambda n: (n[1][0], n[0]), default=None)
    last = max(enumerate(numbers), key=lambda n: (n[1][0], n[0]), default=None)
    return {
        "count": len(points),
        "nulls": sum(v is None for _, v in points),
        "nans": sum(isinstance(v, float) and math.isnan(v) for _, v in points),
        "min": low,
        "max": high,
        "first": None if first is None else cast(first[1][1]),
        "last": None if last is None else cast(last[1][1]),
        "numbers": real,
    }


def check_sum(found, numbers, all_ints):
    if not numbers:
        assert found is None
    elif all_ints:
        assert found == sum(numbers) and isinstance(found, int)
    elif any(map(math.isinf, numbers)):
        wanted = sum(x for x in numbers if math.isinf(x))
        # What is finite may add up to an infinity of its own before.
        huge = max((abs(x) for x in numbers if math.isfinite(x)), default=0) > 1e300
        assert found == wanted or (huge or math.isnan(wanted)) and math.isnan(found)
    else:
        size = math.fsum(map(abs, numbers)) if max(map(abs, numbers)) < 1e300 else None
        if size is not None:
            assert abs(found - math.fsum(numbers)) <= 1e-10 * size + 1e-300


def check_aggregates(found, points, all_ints):
    wanted = aggregates_of(points, all_ints)
    numbers = wanted.pop("numbers")
    for name, value in wanted.items():
        assert same(found[name], value) or (
            isinstance(value, float) and math.isnan(value) and math.isnan(found[name])
        ), f"{name}: {found[name]!r}, not {value!r}"
    check_sum(found["sum"], numbers, all_ints)
    if not numbers:
        assert found["mean"] is None
    elif isinstance(found["sum"], float):
        assert same(found["mean"], found["sum"] / len(numbers)) or math.isnan(found["mean"])
    else:
        assert found["mean"] == pytest.approx(sum(numbers) / len(numbers), rel=1e-12)


def no_floats(points):
    return not any(isinstance(v, float) for _, v in points)


def micros_of(moment):
    if moment is None or isinstance(moment, int):
        return moment
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


@given(points(), st.fixed_dictionaries(DATABASES), BOUNDS, BOUNDS, st.data())
def test_stats(parts, how, start, end, data):
    with Filled({"k": parts}, **how) as (db, all_points):
        points = all_points["k"]
        if data.draw(st.booleans(), "read before"):
            db["k"].read()
        a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(points))] * 2), "cut"))
        for h, own in [
            (db["k"], points),
            (db.history("k", start=start, end=end), in_time(points, start, end)),
            (db["k"][a:b], points[a:b]),
            (db["k"].last(a), points[len(points) - a :]),
        ]:
            stats = h.stats()
            found = {name: getattr(stats, name) for name in NUMBERS}
            check_aggregates(found, own, no_floats(own))
            counts = {k: sum(kind_of(v) == k for _, v in own) for k in ("float", "int", "text", "bytes")}
            assert (stats.floats, stats.ints, stats.texts, stats.bytes) == tuple(counts.values())
            times = [stamp for stamp, _ in own]
            assert micros_of(stats.start) == min(times, default=None)
            assert micros_of(stats.end) == max(times, default=None)


@given(
    points(),
    st.fixed_dictionaries(DATABASES),
    st.sampled_from([1, 2, 3, 7, 64, 1000, 10**6, 10**15, 2**62, HIGH]),
    BOUNDS,
    BOUNDS,
    st.booleans(),
    st.lists(st.sampled_from(NUMBERS), unique=True, min_size=1),
)
def test_resample(parts, how, every, start, end, empty, asked):
    with Filled({"k": parts}, **how) as (db, all_points):
        own = in_time(all_points["k"], start, end)
        buckets = {}
        for stamp, value in own:
            buckets.setdefault(stamp // every, []).append((stamp, value))
        h = db.history("k", start=start, end=end)
        # With all that there is, and with some: other ways are taken where nobody asks for first and last.
        for names in (NUMBERS, asked):
            if empty and buckets:
                numbers = range(min(buckets), max(buckets) + 1)
                count = numbers[-1] - numbers[0] + 1
                if count > 100_000:
                    if count * len(names) > 2**30:
                        with pytest.raises(synadb.SynaError):
                            h.resample(every, names, empty=True)
                    continue
            else:
                numbers = sorted(buckets)
            table = h.resample(every, names, empty=empty)
            assert table.column_names == ["timestamp", *names]
            labels = table["timestamp"].to_numpy().view("i8").tolist()
            assert labels == [max(number * every, LOW) for number in numbers]
            columns = {name: table[name].to_pylist() for name in names}
            all_ints = no_floats(own) and any(isinstance(v, int) for _, v in own)
            for row, number in enumerate(numbers):
                wanted = aggregates_of(buckets.get(number, []), all_ints)
                real = wanted.pop("numbers")
                for name in names:
                    found = columns[name][row]
                    if name == "sum":
                        check_sum(found, real, all_ints)
                    elif name == "mean":
                        if not real:
                            assert found is None
                        elif all(map(math.isfinite, real)) and max(map(abs, real)) < 1e290:
                            size = math.fsum(map(abs, real))
                            assert abs(found - math.fsum(real) / len(real)) <= 1e-10 * size + 1e-300
                    else:
                        value = wanted[name]
                        nan = isinstance(value, float) and math.isnan(value)
                        assert same(found, value) or (nan and math.isnan(found)), (name, found, value)


@given(
    points(),
    st.fixed_dictionaries(DATABASES),
    st.integers(3, 200),
    st.sampled_from(["minmax", "lttb"]),
    BOUNDS,
    BOUNDS,
)
def test_downsample(parts, how, count, method, start, end):
    with Filled({"k": parts}, **how) as (db, all_points):
        points = all_points["k"]
        h = db.history("k", start=start, end=end)
        kinds = {kind_of(v) for _, v in points} - {"null"}
        if kinds and not kinds & {"int", "float"}:
            with pytest.raises(synadb.TypeMismatchError):
                h.downsample(count, method=method)
            return
        own = expected_of(points, "struct", "raise", "time", start, end, None)[1]
        dots = [(t, v) for t, v in own if isinstance(v, int) or (isinstance(v, float) and not math.isnan(v))]
        if kinds != {"int"}:
            dots = [(t, float(v)) for t, v in dots]
        batch = h.downsample(count, method=method)
        assert len(batch) <= count
        stamps = batch["timestamp"].to_numpy().view("i8").tolist()
        found = list(zip(stamps, map(exact, batch["value"].to_pylist()), strict=True))
        wanted = [(t, exact(v)) for t, v in dots]
        if len(dots) <= count:
            assert found == wanted
            return
        assert found == sorted(found, key=lambda dot: dot[0])
        rest = iter(wanted)
        assert all(any(dot == other for other in rest) for dot in found), "not a part of the points in their order"
        if method == "minmax":
            values = [struct.unpack("<d", v)[0] if isinstance(v, bytes) else v for _, v in found]
            assert min(values) == min(v for _, v in dots) and max(values) == max(v for _, v in dots)
        else:
            assert len(found) == count and found[0] == wanted[0] and found[-1] == wanted[-1]


# Many keys

ODD = ["a", "b/x", "é", "k" * 300, "[*]?", "timestamp\0", " ", "value", "key", "\U0001f321", "A"]


@st.composite
def databases(draw, kinds=None):
    keys = draw(st.lists(st.sampled_from(ODD), unique=True, min_size=1, max_size=4))
    return {key: draw(points(kinds)) for key in keys}


@given(
    databases(),
    st.fixed_dictionaries(DATABASES),
    st.sampled_from([None, "struct", "float", "int", "text", "bytes"]),
    st.sampled_from(["raise", "null", "skip"]),
    st.sampled_from(["append", "time"]),
    BOUNDS,
    BOUNDS,
    st.sampled_from([None, 1, 7, 100_000]),
)
def test_scan_and_latest(keys, how, wished, on_mismatch, order, start, end, batch_size):
    with Filled(keys, **how) as (db, all_points):
        together = [point for key in all_points for point in all_points[key]]
        type_of_all = natural(together) if wished is None else wished
        if batch_size is not None and len(together) // batch_size > 2000:
            batch_size = 1000
        forms = {"as_type": wished, "on_mismatch": on_mismatch, "order": order}
        scan = db.scan(start=start, end=end, batch_size=batch_size, **forms)
        wanted = []
        try:
            for key in sorted(all_points, key=str.encode):
                own = expected_of(all_points[key], type_of_all, on_mismatch, order, start, end, None)[1]
                wanted += [(key, stamp, value) for stamp, value in own]
        except Mismatch:
            with pytest.raises(synadb.TypeMismatchError):
                scan.read()
        else:
            assert len(scan) == len(wanted)
            batch = scan.read()
            check(batch, [(t, v) for _, t, v in wanted])
            assert batch["key"].to_pylist() == [key for key, _, _ in wanted]
            table = pa.table(scan)
            assert table["key"].cast(pa.string()).to_pylist() == [key for key, _, _ in wanted]
            assert table["timestamp"].cast(pa.int64()).to_pylist() == [t for _, t, _ in wanted]
            if batch_size is not None:
                assert all(len(part) <= batch_size for part in table.to_batches())
        latest = db.latest()
        lasts = {key: all_points[key][-1] for key in sorted(all_points, key=str.encode)}
        assert latest["key"].to_pylist() == list(lasts)
        kind = natural(list(lasts.values()))
        check(latest, [(t, as_type(v, kind)) for t, v in lasts.values()])


def rows_of(times, every, start, end):
    """The times of a frame's rows, of all times that its keys have."""
    if every is None:
        return [t for t in times if (start is None or t >= start) and (end is None or t < end)]
    if not times and (start is None or end is None):
        return []
    first = times[0] // every * every if start is None else start
    if first < LOW:
        first += every
    # As far as there are points: the last row is the first one at or after the last of them.
    stop = min(times[-1] + every, HIGH + 1) if end is None else end
    return range(first, stop, every)


def seen(points, at, align):
    back = max(((t, i) for i, (t, _) in enumerate(points) if t <= at), default=None)
    ahead = min(((t, -i) for i, (t, _) in enumerate(points) if t >= at), default=None)
    ahead = None if ahead is None else (ahead[0], -ahead[1])
    if align == "backward" or (align == "nearest" and ahead is None):
        found = back
    elif align == "forward" or back is None:
        found = ahead
    else:
        found = ahead if ahead[0] - at < at - back[0] else back
    return None if found is None else points[found[1]]


@given(
    databases(["floats and nulls", "small ints and nulls", "small ints and floats", "anything", "texts", "nulls"]),
    st.fixed_dictionaries(DATABASES),
    st.sampled_from([None, None, 1, 3, 10, 2**40]),
    BOUNDS,
    BOUNDS,
    st.sampled_from(["backward", "forward", "nearest"]),
    st.sampled_from([None, "last", -1, 0.5, math.nan]),
    st.sampled_from([None, None, 0, 1, 5, HIGH]),
    st.sampled_from([None, "float", "float", "struct", "int", "text"]),
    st.sampled_from(["raise", "null", "skip"]),
)
def test_frame(keys, how, every, start, end, align, fill, tolerance, wished, on_mismatch):
    keys = {key: [(h, v[:60], s[:60]) for h, v, s in parts] for key, parts in keys.items()}
    with Filled(keys, **how) as (db, all_points):
        asked = {"every": every, "start": start, "end": end, "align": align, "fill": fill,
                 "tolerance": tolerance, "as_type": wished, "on_mismatch": on_mismatch}
        frame = db.frame(list(keys), **asked)
        try:
            own = {key: expected_of(all_points[key], wished, on_mismatch, "append", None, None, None) for key in keys}
        except Mismatch:
            # Where the point lies outside of what the rows see it need not be an error.
            return
        times = sorted({t for _, points in own.values() for t, _ in points})
        rows = rows_of(times, every, None if start == LOW else start, end)
        if len(rows[:3001]) > 3000:
            return
        bad_fill = isinstance(fill, (int, float)) and any(
            kind not in ("float", "int") or (kind == "int" and fill != -1) for kind, _ in own.values()
        )
        if bad_fill:
            with pytest.raises(synadb.InvalidOptionError):
                frame.read()
            return
        batch = frame.read()
        assert batch.column_names == ["timestamp", *keys]
        assert batch["timestamp"].to_numpy().view("i8").tolist() == list(rows)
        for key, (kind, points) in own.items():
            column = []
            for at in rows:
                point = seen(points, at, align)
                if point is not None and tolerance is not None and abs(point[0] - at) > tolerance:
                    point = None
                value = None if point is None else point[1]
                if value is None and fill == "last":
                    value = column[-1] if column else None
                elif value is None and fill is not None:
                    value = int(fill) if kind == "int" else float(fill)
                column.append(value)
            for row, (value, wanted) in enumerate(zip(batch[key].to_pylist(), column, strict=True)):
                assert same(value, wanted) or (
                    isinstance(wanted, float) and math.isnan(wanted) and math.isnan(value)
                ), f"{key!r} row {row}: {value!r}, not {wanted!r}"
        if all(kind == "float" for kind, _ in own.values()):
            array = frame.to_numpy()
            assert array.shape == (len(rows), len(keys))
            for number, key in enumerate(keys):
                wanted = [math.nan if v is None else v for v in batch[key].to_pylist()]
                np.testing.assert_array_equal(array[:, number], wanted)


# Many pieces


def test_kinds_that_take_turns_do_not_decode_a_block_for_each_row(any_db):
    """Each point of its own piece had its whole block decoded: 1,000,000 points took four minutes."""
    count = 200_000
    any_db.append_batch("k", [1.5, "x"] * (count // 2), range(count))
    start = time.monotonic()
    for wished, value in (("float", 1.5), ("int", None), ("bytes", b"x")):
        h = any_db.history("k", as_type=wished, on_mismatch="skip")
        assert set(h.values.to_pylist()) == ({value} if value else set())
        assert len(h.resample(1, "count")) == len(h) == h.stats().count == (count // 2 if value else 0)
    assert len(any_db.history("k", as_type="text", on_mismatch="skip")[1:]) == count - 1
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("cache", [0, 1 << 28])
def test_times_in_any_order_do_not_decode_a_block_for_each_row(path, cache):
    """So it was with buckets of times that do not rise, and with a cache that holds nothing."""
    count = 200_000
    stamps = np.random.default_rng(1).permutation(count)
    with synadb.open(path, durability="os", column_cache_bytes=cache) as db:
        db.append_batch("k", stamps.astype("f8"), stamps)
        h = db.history("k", start=count // 4, end=count // 2)
        begun = time.monotonic()
        assert h.resample(1000, "count")["count"].to_pylist() == [1000] * 50
        assert (h.stats().min, h.stats().max) == (count // 4, count // 2 - 1)
        inside = (stamps >= count // 4) & (stamps < count // 2)
        assert np.array_equal(h.to_numpy(), stamps[inside])
        assert h[5:].resample(1000, "first")["first"].to_pylist()[0] >= count // 4
        assert time.monotonic() - begun < 20
