import gzip

import pytest

from corpusmill.pipeline.readers import Limits, ReaderOptions


@pytest.fixture
def texts(tmp_path):
    for name, raw in {
        "a.txt": "first\n\nä\0".encode(),
        "b.txt": b"",
        "c.txt.gz": gzip.compress(b"compressed"),
        "d.txt": b"\xef\xbb\xbfmark",
        "e.txt": b"caf\xe9",
        "f.txt": b"x" * 100,
        "g.txt": b"x" * 101,
        "h.txt.gz": gzip.compress(b"cut off" * 10)[:-9],
        "sub/a.txt": b"second",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(raw)
    return tmp_path


@pytest.mark.parametrize("unit_bytes", [1, 1 << 20])
def test_one_file_one_document(texts, read_everything, unit_bytes):
    options = ReaderOptions(limits=Limits(max_document_bytes=100))
    result = read_everything(texts, "text", options, unit_bytes)
    assert result.texts == {
        "a.txt": "first\n\nä\0",
        "b.txt": "",
        "c.txt.gz": "compressed",
        "d.txt": "mark",
        "f.txt": "x" * 100,
        "sub/a.txt": "second",
    }
    assert result.reasons == {"e.txt": "utf8.invalid", "g.txt": "record.too_large", "h.txt.gz": "gzip.truncated"}


def test_invalid_utf8_replaced(texts, read_everything):
    result = read_everything(texts / "e.txt", "text", ReaderOptions(invalid_utf8="replace"))
    assert result.texts == {"e.txt": "caf\ufffd"}
    assert result.repaired == {"utf8.replaced": 1}


def test_reading_stops_at_the_limit(tmp_path, read_everything):
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(1 << 40)
    result = read_everything(tmp_path, "text", ReaderOptions(limits=Limits(max_document_bytes=1000)))
    assert result.reasons == {"huge.txt": "record.too_large"}
    assert result.quarantine[0]["bytes"] < 2 << 20


def test_a_file_that_is_gone(tmp_path):
    from corpusmill.errors import ConfigError, InputError
    from corpusmill.pipeline.readers import WorkUnit, cut, find_files, read

    (tmp_path / "a.txt").write_text("x")
    (unit,) = cut(find_files([str(tmp_path)]), "text", "s")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match=r"a\.txt can't be opened"):
        list(read(unit, ReaderOptions()))
    with pytest.raises(ConfigError, match="unknown format 'pdf'; known formats: jsonl, parquet"):
        list(read(WorkUnit("00000-s", "s", "pdf", unit.slices, 1), ReaderOptions()))
