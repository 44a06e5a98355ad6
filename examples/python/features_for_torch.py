"""Several series as one table of features for PyTorch, and loaders whose workers read by themselves.

    python examples/python/features_for_torch.py
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

import synadb

KEYS = ["machine/load", "machine/temperature"]


def fill(db: synadb.SynaDB) -> None:
    """Two sensors that tick at different times."""
    for second in range(0, 20_000, 2):
        load = 50 + 30 * math.sin(second / 600)
        db.append(KEYS[0], load, second * 1_000_000)
        if second % 10 == 0:
            db.append(KEYS[1], 20 + load / 4, second * 1_000_000 + 300_000)


class Windows(Dataset):  # type: ignore[type-arg]
    """Windows of a minute. A pickle of it, as workers get it, reads the same commit in another process."""

    def __init__(self, db: synadb.SynaDB) -> None:
        self.load = db.reader()[KEYS[0]]
        self.count = len(self.load) // 30

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.load[30 * i : 30 * i + 30].to_torch()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with synadb.open(Path(folder) / "machine.syna", durability="os") as db:
            fill(db)
            # Rows ten seconds apart, each with what was known then: no look into the future.
            features = torch.from_numpy(db.frame(KEYS, every="10s", fill="last").to_numpy())
            features = features[~features.isnan().any(1)]
            x, y = features[:, :1], features[:, 1:]
            ones = torch.ones_like(x)
            solution = torch.linalg.lstsq(torch.cat([x, ones], 1), y).solution
            print(f"temperature = {solution[0].item():.3f} * load + {solution[1].item():.2f}")
            assert abs(solution[0].item() - 0.25) < 0.01

            loader = DataLoader(Windows(db), batch_size=16, num_workers=2)
            means = torch.cat([batch.mean(1) for batch in loader])
            print(f"{len(means)} windows, mean load {means.mean().item():.2f}")


if __name__ == "__main__":
    main()
