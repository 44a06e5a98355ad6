"""A year of hourly weather at three airports: imported, asked for, handed to Polars and pandas.

    python examples/python/weather_to_polars.py [picture.png]
"""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import polars as pl

import synadb

DATA = Path(__file__).parents[1] / "data/nyc-weather-2013.csv"


def load(db: synadb.SynaDB) -> int:
    """Writes the file, one key for each station and column, as one commit."""
    weather = pl.read_csv(DATA, try_parse_dates=True).unpivot(index=["station", "time"])
    rows = weather.drop_nulls("value").with_columns(
        key=pl.col("station") + "/" + pl.col("variable"), value=pl.col("value").cast(pl.Float64)
    )
    written = db.write(rows.sort("time", maintain_order=True), time_column="time", atomic=True)
    return written.points


def picture(db: synadb.SynaDB, path: str) -> None:
    """Two series, as few points as show them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, sharex=True, figsize=(10, 6), layout="constrained")
    for ax, key in zip(axes, ("JFK/temp", "JFK/pressure"), strict=True):
        db[key].plot(ax=ax)
    figure.suptitle("New York, 2013")
    figure.savefig(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, synadb.open(Path(folder) / "weather.syna") as db:
        print(f"{load(db):,} points of {len(db)} keys")

        # A key's history is an Arrow object: whoever reads Arrow reads it.
        temperature = db["JFK/temp"]
        frame = pl.DataFrame(temperature)
        print(frame.describe())
        print(temperature.to_pandas().set_index("timestamp").resample("MS")["value"].mean().round(1))

        # Means a day, from what the file says about its blocks; no row leaves the store.
        days = temperature.resample("1d", ["min", "mean", "max"])
        print(pl.DataFrame(days).head(3))

        # Many keys: only these keys and times are read.
        july = datetime(2013, 7, 1, tzinfo=timezone.utc)
        hot = (
            db.scan("*/temp")
            .lazy()
            .filter(pl.col("timestamp") >= july, pl.col("value") > 95)
            .group_by("key")
            .len()
            .sort("key")
            .collect()
        )
        print(hot)

        # Side by side on one axis of time.
        table = db.frame(["JFK/temp", "JFK/wind_speed"], every="1d", fill="last")
        print(table.to_polars().tail(3))
        if len(sys.argv) > 1:
            picture(db, sys.argv[1])
            print(f"two series: {sys.argv[1]}")


if __name__ == "__main__":
    main()
