"""SQL by DuckDB over histories and scans, which it reads as they are.

    python examples/python/duckdb_sql.py
"""

from __future__ import annotations

import duckdb
import numpy as np

import synadb


def main() -> None:
    with synadb.open(":memory:") as db:
        rng = np.random.default_rng(1)
        stamps = np.arange("2013-01-01", "2013-01-08", dtype="datetime64[m]")
        for number in range(5):
            values = rng.normal(100 + 10 * number, 5, len(stamps))
            db.append_batch(f"plant/pump{number}", values, stamps)

        with duckdb.connect() as sql:
            sql.execute("set timezone = 'UTC'")
            pump = db["plant/pump3"]
            print(sql.execute("select count(*), round(avg(value), 1) from pump").fetchall())

            plant = db.scan("plant/*")
            busiest = sql.execute(
                """
                select key, date_trunc('day', timestamp)::date as day, round(max(value), 1) as peak
                from plant group by all order by peak desc limit 3
                """
            ).fetchall()
            for key, day, peak in busiest:
                print(f"{key} on {day}: {peak}")
            assert busiest[0][0] == "plant/pump4"

            # And back: what SQL made of it becomes a history of its own.
            hourly = sql.sql(
                """
                select key || '/hourly' as key, date_trunc('hour', timestamp) as timestamp,
                       avg(value) as value from plant group by all order by timestamp
                """
            )
            print(db.write(hourly, atomic=True))
            assert len(db["plant/pump0/hourly"]) == 7 * 24


if __name__ == "__main__":
    main()
