"""Lazy frames and SQL over a scan, against the same questions asked of rows that were read before.

A mistake in what is pushed down gives other rows and no error, so queries are made at random, and each is
answered twice: with all that Polars pushes into `scan.lazy()`, and by Polars alone over the whole frame.
"""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support import needs

import synadb

duckdb = needs("duckdb")
pa = needs("pyarrow")
pl = needs("polars")
needs("pytz")
register_io_source = needs("polars.io.plugins").register_io_source

UTC = timezone.utc
#: Keys that read as numbers, look like patterns, and are no ASCII.
KEYS = ["10", "2", "JFK/temp", "JFK/wind", "LGA/temp", "odd[*]?", "é\\"]
#: Polars panics where it has to show a year beyond 262,000; so the ends of time have a test of their own.
STAMPS = [-(2**52), -1_000_001, -1, *range(8), 999, 1_000_000, 86_400_000_000, 2**52]
FLOATS = [0.0, -0.0, 1.0, 2.5, -3.0, math.nan, math.inf, None]
INTS = [0, 1, -3, 2**53, None]
TEXTS = ["", "a", "JFK", "2", "ü", None]

KEY, TIME, VALUE = pl.col("key"), pl.col("timestamp"), pl.col("value")
TEXT_KEY = KEY.cast(pl.String)


def filled(values: list[object]) -> synadb.SynaDB:
    """Every key with values and moments of the lists in an order of its own."""
    db = synadb.open(":memory:")
    rng = np.random.default_rng(len(values))
    for number, key in enumerate(KEYS):
        count = (0, 1, 7, 40)[number % 4] + 1
        stamps = [STAMPS[i] for i in rng.integers(0, len(STAMPS), count)]
        db.append_batch(key, [values[i] for i in rng.integers(0, len(values), count)], stamps)
    return db


DATABASES = {
    "float": filled(FLOATS),
    "int": filled(INTS),
    "text": filled(TEXTS),
    "mixed": filled([*FLOATS, *INTS, *TEXTS, b"x"]),
}

# Predicates


def moments():
    """Constants that timestamps are compared with: other zones, other units, other types."""
    micros = st.sampled_from(STAMPS)
    literals = st.builds(
        lambda micros, unit, zone: pl.lit(micros, dtype=pl.Datetime(unit, zone)),
        micros,
        st.sampled_from(["us", "ms", "ns"]),
        st.sampled_from(["UTC", "UTC", "Europe/Berlin", None]),
    )
    objects = st.builds(
        lambda micros, hours: datetime(1970, 1, 1, tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))
        + timedelta(microseconds=micros),
        st.sampled_from(STAMPS[1:-1]),
        st.integers(-11, 11),
    )
    others = st.sampled_from(
        [
            date(1970, 1, 1),
            date(1970, 1, 2),
            pl.lit(None),
            pl.lit(None, dtype=pl.Datetime("us", "UTC")),
            pl.lit(0),
            TIME,
            TIME.min(),
            pl.lit(datetime(1970, 1, 1, tzinfo=UTC)) + timedelta(microseconds=3),
        ]
    )
    return st.one_of(literals, literals, objects, objects, others)


COMPARISONS = st.sampled_from(
    [
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
        lambda a, b: a == b,
        lambda a, b: a != b,
        lambda a, b: a.eq_missing(b),
        lambda a, b: a.ne_missing(b),
        # The constant stands first.
        lambda a, b: pl.lit(b) < a if not isinstance(b, pl.Expr) else b < a,
        lambda a, b: pl.lit(b) >= a if not isinstance(b, pl.Expr) else b >= a,
    ]
)
CLOSED = st.sampled_from(["both", "left", "right", "none"])


def times():
    of_a_time = st.sampled_from(
        [
            TIME,
            TIME,
            TIME,
            TIME.dt.convert_time_zone("Europe/Berlin"),
            TIME.dt.offset_by("2us"),
            TIME.cast(pl.Datetime("ms", "UTC")),
            TIME.dt.truncate("1s"),
        ]
    )
    return st.one_of(
        st.builds(lambda a, b, op: op(a, b), of_a_time, moments(), COMPARISONS),
        st.builds(lambda a, b, closed: TIME.is_between(a, b, closed=closed), moments(), moments(), CLOSED),
        st.builds(
            lambda some: TIME.is_in(pl.Series(some, dtype=pl.Datetime("us", "UTC")).implode()),
            st.lists(st.sampled_from(STAMPS), max_size=4),
        ),
        st.sampled_from(
            [
                TIME.cast(pl.Int64) % 3 == 0,
                TIME.dt.date() == date(1970, 1, 1),
                TIME.is_null(),
                TIME.is_not_null(),
                TIME.dt.epoch("ms") > 0,
            ]
        ),
    )


def keys():
    words = st.sampled_from([*KEYS, "", "none", "JFK", "temp", "é"])
    of_a_key = st.sampled_from([KEY, KEY, TEXT_KEY, TEXT_KEY, KEY.cast(pl.Categorical)])
    return st.one_of(
        st.builds(lambda a, b, op: op(a, b), of_a_key, words, COMPARISONS),
        st.builds(lambda a, some, nulls: a.is_in([*some, *nulls]), of_a_key, st.lists(words, max_size=4),
                  st.lists(st.none(), max_size=1)),
        st.builds(lambda a, b, closed: TEXT_KEY.is_between(pl.lit(a), pl.lit(b), closed=closed),
                  words, words, CLOSED),
        st.builds(TEXT_KEY.str.starts_with, words),
        st.builds(TEXT_KEY.str.ends_with, words),
        st.builds(lambda word: TEXT_KEY.str.contains(word, literal=True), words),
        st.builds(lambda word: TEXT_KEY.str.contains(word, strict=False), st.sampled_from(["^J", "(", "[0-9]"])),
        st.builds(KEY.cat.starts_with, words),
        st.builds(KEY.cat.ends_with, words),
        st.builds(lambda kind, n: KEY.cast(kind, strict=False) == n,
                  st.sampled_from([pl.UInt32, pl.Int64, pl.Float64]), st.integers(0, 11)),
        st.builds(lambda kind, n: TEXT_KEY.cast(kind, strict=False) > n,
                  st.sampled_from([pl.UInt32, pl.Int64, pl.Float64]), st.integers(0, 11)),
        st.sampled_from(
            [
                KEY.is_null(),
                KEY.is_not_null(),
                KEY == pl.lit(None, dtype=pl.String),
                KEY == TEXT_KEY,
                KEY.cat.len_chars() == 2,
                TEXT_KEY.str.to_lowercase() == "jfk/temp",
                TEXT_KEY.str.len_bytes() > 2,
                KEY.cat.physical() == 0,
            ]
        ),
    )


def values():
    numbers = st.sampled_from([0, -0.0, 1, 2.5, math.nan, math.inf, None, 2**53, "a", "JFK", b"x"])
    return st.one_of(
        st.builds(lambda a, op: op(VALUE, pl.lit(a)), numbers, COMPARISONS),
        st.builds(lambda a, b, closed: VALUE.is_between(pl.lit(a), pl.lit(b), closed=closed),
                  numbers, numbers, CLOSED),
        st.sampled_from(
            [
                VALUE.is_null(),
                VALUE.is_not_null(),
                VALUE.is_nan(),
                VALUE.is_in([1.0, 2.5, None]),
                VALUE.cast(pl.Int64, strict=False) == 1,
                VALUE.cast(pl.String) == "2.5",
                VALUE.cast(pl.String) == TEXT_KEY,
                VALUE.struct.field("kind") == "int",
                VALUE.struct.field("text").str.starts_with("J"),
                VALUE.str.len_chars() == 1,
                VALUE.fill_null(0) >= 0,
            ]
        ),
    )


def predicates():
    part = st.one_of(times(), keys(), values(), st.sampled_from([pl.lit(True), pl.lit(False)]))
    return st.recursive(
        part,
        lambda inner: st.one_of(
            st.builds(lambda a, b: a & b, inner, inner),
            st.builds(lambda a, b: a & b, inner, inner),
            st.builds(lambda a, b: a | b, inner, inner),
            st.builds(lambda a, b: a ^ b, inner, inner),
            st.builds(lambda a: ~a, inner),
            st.builds(lambda a, b, c: pl.when(a).then(b).otherwise(c), inner, inner, inner),
            st.builds(lambda a, b: pl.any_horizontal(a, b), inner, inner),
            st.builds(lambda a, b: pl.all_horizontal(a, b), inner, inner),
            st.builds(lambda a: a.fill_null(True), inner),
            st.builds(lambda a, b: a == b, inner, inner),
        ),
        max_leaves=6,
    )


# Queries: steps that are applied to a lazy frame one after the other.

GROUPS = [pl.len(), TIME.min().alias("first"), TIME.max().alias("last"), VALUE.null_count().alias("nulls")]


def steps():
    keeps_columns = st.one_of(
        predicates().map(lambda p: ("filter", lambda f: f.filter(p))),
        predicates().map(lambda p: ("filter", lambda f: f.filter(p))),
        st.integers(0, 60).map(lambda n: (f"head({n})", lambda f: f.head(n))),
        st.integers(0, 60).map(lambda n: (f"tail({n})", lambda f: f.tail(n))),
        st.tuples(st.integers(-60, 60), st.integers(0, 40)).map(
            lambda s: (f"slice{s}", lambda f: f.slice(*s))
        ),
        st.sampled_from(
            [
                ("sort", lambda f: f.sort("timestamp", "key", maintain_order=True)),
                ("top", lambda f: f.sort("timestamp", descending=True, maintain_order=True).head(3)),
                ("reverse", lambda f: f.reverse()),
                ("unique", lambda f: f.unique(["key"], keep="first", maintain_order=True)),
                ("columns", lambda f: f.select("value", "key", "timestamp")),
                ("later", lambda f: f.with_columns(TIME.dt.offset_by("1us"))),
                ("renamed", lambda f: f.rename({"key": "k"}).rename({"k": "key"})),
                ("twice", lambda f: pl.concat([f, f])),
                ("semi join", lambda f: f.join(f.filter(KEY == "2"), on="timestamp", how="semi",
                                               maintain_order="left")),
                ("join", lambda f: f.join(f.head(3).select("key", other="timestamp"), on="key",
                                          maintain_order="left_right").drop("other")),
            ]
        ),
    )
    last = st.sampled_from(
        [
            ("all", lambda f: f),
            ("all", lambda f: f),
            ("value", lambda f: f.select("value")),
            ("key", lambda f: f.select("key")),
            ("len", lambda f: f.select(pl.len())),
            ("aggregates", lambda f: f.select(*GROUPS)),
            ("group_by", lambda f: f.group_by("key", maintain_order=True).agg(*GROUPS)),
            ("nothing of it", lambda f: f.select(pl.lit(1))),
            ("row index", lambda f: f.with_row_index().filter(pl.col("index") % 3 == 1)),
        ]
    )
    return st.tuples(st.lists(keeps_columns, min_size=1, max_size=4), last).map(lambda s: [*s[0], s[1]])


def answer(frame, steps, engine):
    """The rows, with keys as text: numbers behind categories are nobody's business. Or the error's type."""
    try:
        for _, step in steps:
            frame = step(frame)
        frame = frame.collect(engine=engine)
    except pl.exceptions.PolarsError as error:
        return type(error)
    except pl.exceptions.PanicException:
        return pl.exceptions.PanicException
    if "key" in frame.columns:
        frame = frame.with_columns(TEXT_KEY)
    return frame


def simple_source(whole):
    def read(with_columns, predicate, n_rows, batch_size):
        frame = whole if n_rows is None else whole.head(n_rows)
        frame = frame if predicate is None else frame.filter(predicate)
        yield frame if with_columns is None else frame.select(with_columns)

    return register_io_source(read, schema=whole.schema, is_pure=True)


@settings(max_examples=settings().max_examples * 6)
@given(st.sampled_from(sorted(DATABASES)), steps(), st.sampled_from(["in-memory", "streaming"]), st.data())
def test_any_query_gives_what_it_gives_over_rows_that_were_read(kind, steps, engine, data):
    bounds = data.draw(st.sampled_from([{}, {}, {"start": 0}, {"end": 5}, {"order": "time"}]), "bounds")
    scan = DATABASES[kind].scan(**bounds)
    found = answer(scan.lazy(), steps, engine)
    expected = answer(scan.to_polars().lazy(), steps, engine)
    if not isinstance(expected, pl.DataFrame):
        # A row that would have been an error may have been left out before.
        return
    if not isinstance(found, pl.DataFrame):
        # Over any source in Python, Polars 2.1 panics in some streaming queries with two limits, and meets some
        # errors that it avoids over frames: a fault of ours only if the simplest source does without.
        assert answer(simple_source(scan.to_polars()), steps, engine) is found
        return
    assert found.schema == expected.schema
    assert found.equals(expected), f"{found}, not {expected}"


@pytest.mark.parametrize("unit", ["us", "ms", "ns"])
@pytest.mark.parametrize("at", [-(2**63), 2**63 - 1])
def test_the_ends_of_time(unit, at):
    db = synadb.open(":memory:")
    db.append_batch("k", range(5), [-(2**63), -1, 0, 2**53, 2**63 - 1])
    db.append_batch("text", ["x"], [2**63 - 1])
    scan, end = db.scan(), pl.lit(at, dtype=pl.Datetime(unit, "UTC"))
    whole = scan.to_polars().lazy()

    def rows(frame, predicate):
        query = frame.filter(predicate).select(TEXT_KEY, TIME.to_physical())
        return query.collect().rows()

    for predicate in [TIME < end, TIME <= end, TIME > end, TIME >= end, TIME == end, TIME != end,
                      TIME.is_between(end, end), TIME.is_between(0, end), (end >= TIME) & (TIME > end)]:
        try:
            expected = rows(whole, predicate)
        except pl.exceptions.PolarsError:
            continue
        assert rows(scan.lazy(), predicate) == expected


# The same with SQL, which DuckDB asks of the rows themselves.

CONDITIONS = st.recursive(
    st.sampled_from(
        [
            "key = 'JFK/temp'", "key in ('2', '10', 'none')", "key like 'JFK%'", "key > 'JFK'", "key is null",
            "timestamp >= '1970-01-01 00:00:00.000003+00'", "timestamp < '1970-01-01 00:00:01+00'",
            "timestamp between '1970-01-01 00:00:00+00' and '1970-01-01 01:00:00+01'",
            "timestamp = timestamptz '1970-01-01 02:00:00.000003+02'", "epoch_us(timestamp) % 3 = 0",
            "value > 0", "value = 'nan'::double", "value is null", "value in (1, 2.5)", "value <> 1",
        ]
    ),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("case when {} then {} else {} end".format, inner, inner, inner),
    ),
    max_leaves=5,
)
QUERIES = st.sampled_from(
    [
        "select * from data where {}",
        "select value from data where {}",
        "select count(*), min(timestamp), max(key) from data where {}",
        "select key, count(value), max(timestamp) from data where {} group by key order by key",
        "select key, timestamp from data where {} order by timestamp desc, key limit 3",
        "select a.key, b.value from (select * from data where {}) a join data b using (timestamp)",
        "with few as (select * from data limit 30) select * from few where {}",
    ]
)


@given(st.sampled_from(["float", "int"]), CONDITIONS, QUERIES)
def test_any_sql_gives_what_it_gives_over_rows_that_were_read(kind, condition, query):
    sql = query.format(condition)
    scan = DATABASES[kind].scan()
    answers = []
    for source in (scan, pa.table(scan), scan):
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'; set threads = 1")
            connection.register("data", source)
            # As text, NaN is itself and -0.0 another one than 0.0, which SQL sorts as it likes.
            answers.append(sorted([str(cell) for cell in row] for row in connection.sql(sql).fetchall()))
    assert answers[0] == answers[1] == answers[2]
