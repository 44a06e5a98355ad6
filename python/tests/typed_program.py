"""A program as users write them, which `mypy --strict` reads."""

from __future__ import annotations

from datetime import datetime, timedelta

import synadb


def main() -> None:
    with synadb.open("house.syna", durability="os") as db:
        offset: int = db.append("kitchen/temp", 21.5, datetime(2013, 1, 1))
        db.append_row({"a": 1, "b": None})
        with db.batch() as batch:
            batch.append("a", 1)
        value: None | int | float | str | bytes = db.get("kitchen/temp")
        known: int | float | str | bytes | None = db.get("kitchen/temp", 0.0)
        history: synadb.History = db["kitchen/temp"]
        part: synadb.History = history[datetime(2013, 1, 1) :][0:10]
        when, point = history[0]
        later: datetime = when + timedelta(hours=1)
        mean: float | None = history.stats().mean
        column: synadb.Column = history.resample("1h", ["mean", "max"])["mean"]
        first: synadb.Batch = history.read()[:5]
        for key in db:
            print(key.upper(), len(db[key]))
        for commit in db.follow("kitchen/*", timeout=1.0):
            for change in commit.changes:
                if isinstance(change, synadb.Appended):
                    print(change.points)
        try:
            db["none"]
        except synadb.KeyNotFoundError as error:
            print(error.key)
        report = db.optimize(progress=lambda done, total: print(done, total))
        print(offset, value, known, part, point, later, mean, len(column), first, report.points)
        print(db.frame(["a", "b"], every="1h", fill="last").read(), db.scan("a*").lazy())


if __name__ == "__main__":
    main()
