from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from corpusmill import storage
from corpusmill.tokenize.packing.token_files import open_token_file, write_token_file

IDS = [bytes(range(n, n + 16)) for n in range(4)]
LENGTHS = np.array([3, 0, 5, 1])


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_a_token_file_comes_back(tmp_path: Path, dtype: npt.DTypeLike) -> None:
    path, tokens = str(tmp_path / "a.arrow"), np.arange(9).astype(dtype) * 7000
    signals = {"score": pa.array([0.5, None, 1, 2]), "words": pa.array([1, 2, 3, 4])}
    entry = write_token_file(path, "a.arrow", pa.array(IDS, pa.binary(16)), tokens, LENGTHS, signals)
    storage.check(entry, str(tmp_path), content=True)
    assert (entry.path, entry.rows) == ("a.arrow", 4)
    file = open_token_file(path)
    assert file.tokens.dtype == dtype
    assert file.tokens.tolist() == tokens.tolist()
    assert file.offsets.tolist() == [0, 3, 3, 8, 9]
    assert [b"".join(int(word).to_bytes(8, "big") for word in row) for row in file.ids] == IDS
    assert np.array_equal(file.signals["score"], [0.5, np.nan, 1, 2], equal_nan=True)
    assert file.signals["words"].tolist() == [1, 2, 3, 4]


def test_an_open_token_file_holds_no_descriptor_and_outlives_its_name(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts open files in /proc, which this system does not have")
    path = tmp_path / "a.arrow"
    write_token_file(str(path), "a.arrow", pa.array(IDS, pa.binary(16)), np.arange(9, dtype=np.uint16), LENGTHS)
    before = len(list(Path("/proc/self/fd").iterdir()))
    file = open_token_file(str(path))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    path.unlink()
    assert file.tokens.tolist() == list(range(9))
    assert len(file.ids) == 4
