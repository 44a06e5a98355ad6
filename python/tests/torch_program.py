"""PyTorch, in an environment of its own: Debian's python3-torch with the wheel.

From the package index PyTorch pulls gigabytes, so it is taken from the distribution, for whose Python this
program runs, without pytest. `make python-torch` sets it up; it ends with an error if PyTorch is missing.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import synadb


def anonymous() -> int:
    """Bytes of memory of this process that belong to no file."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line]
    return int(line.split()[1]) * 1024


class Asked:
    """Hands on a column, and keeps which version of DLPack was asked for."""

    def __init__(self, column: synadb.Column) -> None:
        self.column, self.version = column, None

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.column.__dlpack_device__()

    def __dlpack__(self, **asked: object) -> object:
        self.version = asked.get("max_version")
        return self.column.__dlpack__(**asked)


def count_copies(db: synadb.SynaDB) -> None:
    """An owned tensor is one copy, not two; what is shared is none."""
    values = np.arange(6_000_000.0)
    db.append_batch("large", values, np.arange(len(values)))
    h = db["large"]
    h.read()
    calls = [h.to_torch, lambda: h.to_torch(copy=False), lambda: torch.from_dlpack(h.values)]
    for call in calls:
        before = anonymous()
        tensor = call()
        shares = tensor.data_ptr() == h.to_numpy().ctypes.data
        copies = (anonymous() - before) / values.nbytes
        assert abs(copies - (not shares)) < 1 / 16, (shares, copies)
        assert not shares or call != h.to_torch
        if not shares:
            tensor.zero_()
            assert h.to_numpy()[-1] == len(values) - 1
        del tensor
    assert db.delete("large")


def main() -> None:
    versions = f"PyTorch {torch.__version__}, NumPy {np.__version__}, Python {sys.version.split()[0]}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "db.syna"
        db = synadb.open(path, durability="os", enable_delta=False, enable_compression=False)
        values = np.random.default_rng(1).random(100_000)
        db.append_batch("k", values, np.arange(100_000))
        db.append_batch("n", [1.5, None, 2.5], range(3))
        db.append_batch("i", np.arange(100), np.arange(100))
        db.append("t", "text")
        h = db["k"]

        count_copies(db)
        own = h.to_torch()
        assert own.dtype == torch.float64 and own.shape == (100_000,)
        assert (own.numpy() == values).all()
        own.mul_(2)  # it may be written, and nobody else sees it
        assert (h.to_numpy() == values).all() and (h.to_torch().numpy() == values).all()
        assert own.data_ptr() != h.to_numpy().ctypes.data and own.data_ptr() % 64 == 0

        # A PyTorch that does not know DLPack 1.0 cannot be told that memory is read-only: a copy.
        asked = Asked(h.values)
        tensor = torch.from_dlpack(asked)
        shared = tensor.data_ptr() == h.to_numpy().ctypes.data
        assert shared == (asked.version is not None and asked.version[0] >= 1)
        assert (tensor.numpy() == values).all()
        if not shared:
            tensor.zero_()
            assert (h.to_numpy() == values).all()
        assert (h.to_torch(copy=False).numpy() == values).all()
        assert torch.from_dlpack(db["i"].values).dtype == torch.int64

        nulls = db["n"].to_torch()
        assert torch.isnan(nulls).tolist() == [False, True, False]
        for key in ("n", "t"):
            try:
                torch.from_dlpack(db[key].values)
            except BufferError:
                continue
            raise AssertionError(f"{key} became a tensor")
        frame = torch.from_numpy(db.frame(["k", "i"], fill="last").to_numpy())
        assert frame.shape == (100_000, 2)

        data = torch.utils.data.DataLoader(Samples(db), batch_size=10_000, num_workers=2)
        seen = sum(float(batch.sum()) for batch in data)
        assert abs(seen - values.sum()) < 1e-6

        db.close()
        del db, h, data
        gc.collect()
        path.unlink()
        assert (torch.from_numpy(own.numpy()) == torch.from_numpy(values * 2)).all()
        assert shared or tensor.sum() == 0
    print(f"torch: ok ({versions}, from_dlpack {'shares' if shared else 'copies'})")


class Samples(torch.utils.data.Dataset):
    """Goes to the workers as a pickle, or through a fork: both read the commit it was made at."""

    def __init__(self, db: synadb.SynaDB) -> None:
        self.values = db.reader()["k"].values.to_numpy()
        self.history = db["k"]

    def __len__(self) -> int:
        return 100_000

    def __getitem__(self, i: int) -> float:
        return float(self.values[i])


if __name__ == "__main__":
    main()
