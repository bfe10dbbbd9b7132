import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipeline.readers import Limits, ReaderOptions

TYPES = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string())]


def write(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("kind", TYPES, ids=str)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.none() | st.sampled_from(["", "a", "ä" * 6, "x" * 11, "x" * 10, "\0"]), min_size=1, max_size=30),
    group=st.integers(1, 9),
    unit_bytes=st.sampled_from([1, 200, 1 << 20]),
)
def test_every_row_is_a_document_or_in_quarantine_once(tmp_path, read_everything, kind, texts, group, unit_bytes):
    raw = [None if t is None else t.encode() for t in texts] if "binary" in str(kind) else texts
    write(tmp_path / "d.parquet", {"n": range(len(texts)), "text": pa.array(raw, kind)}, row_group_size=group)
    options = ReaderOptions(limits=Limits(max_document_bytes=10))
    result = read_everything(tmp_path / "d.parquet", "parquet", options, unit_bytes)
    good = {f"d.parquet#{i}": t for i, t in enumerate(texts) if t is not None and len(t.encode()) <= 10}
    assert result.texts == good
    assert [d["locator"] for d in result.documents] == list(good)
    assert result.reasons == {
        f"d.parquet#{i}": "parquet.missing_text" if t is None else "record.too_large"
        for i, t in enumerate(texts)
        if f"d.parquet#{i}" not in good
    }


def test_columns(tmp_path, read_everything):
    path = write(
        tmp_path / "d.parquet",
        {
            "body": ["a", "b", "c"],
            "link": ["http://a/", None, "http://c/"],
            "seen": pa.array(
                [None, datetime.datetime(2020, 1, 2, 3, 4, 5, 678), None], pa.timestamp("us", "Europe/Paris")
            ),
            "day": pa.array([datetime.date(2019, 1, 1)] * 3),
            "nested": [{"text": "x"}] * 3,
        },
    )
    options = ReaderOptions(text_field="body", url_field="link", date_fields=("none", "seen", "day"))
    result = read_everything(path, "parquet", options)
    assert [d["url"] for d in result.documents] == ["http://a/", None, "http://c/"]
    assert [str(d["date"]) for d in result.documents] == [
        "2019-01-01 00:00:00", "2020-01-02 03:04:05", "2019-01-01 00:00:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dates", "expected", "unreadable"),
    [
        (["2020-01-01", "2020-01-01T01:00:00+01:00", "soon", None], ["2020-01-01 00:00:00"] * 2 + [None] * 2, 1),
        (pa.array([0, 1, None], pa.int64()), ["1970-01-01 00:00:00", "1970-01-01 00:00:01", None], 0),
        (pa.array([1.5, float("nan"), 1e300]), ["1970-01-01 00:00:01", None, None], 2),
        (pa.array(["2020-01-01"], pa.string()).dictionary_encode(), ["2020-01-01 00:00:00"], 0),
        ([["2020"]], [None], 1),
        ([True, None], [None, None], 1),
    ],
)
def test_dates(tmp_path, read_everything, dates, expected, unreadable):
    result = read_everything(write(tmp_path / "d.parquet", {"text": ["x"] * len(dates), "date": dates}), "parquet")
    assert [d["date"] and str(d["date"]) for d in result.documents] == expected
    assert result.repaired["date.unreadable"] == unreadable


@pytest.mark.parametrize("kind", [pa.binary(), pa.string()], ids=str)
def test_invalid_utf8_by_policy(tmp_path, read_everything, kind):
    raw = pa.array([b"ok", b"a\xff", b"\xe4\xb8", None, b"a\xff"], pa.binary())
    texts = raw if kind == pa.binary() else pa.Array.from_buffers(pa.string(), 5, raw.buffers())
    path = write(tmp_path / "d.parquet", {"text": texts, "url": texts})
    rejected = read_everything(path, "parquet")
    assert rejected.texts == {"d.parquet#0": "ok"}
    assert [q["reason"] for q in rejected.quarantine] == ["utf8.invalid"] * 2 + ["parquet.missing_text", "utf8.invalid"]
    replaced = read_everything(path, "parquet", ReaderOptions(invalid_utf8="replace"))
    assert [d["text"] for d in replaced.documents] == ["ok", "a\ufffd", "\ufffd", "a\ufffd"]
    assert [d["url"] for d in replaced.documents] == ["ok", "a\ufffd", "\ufffd", "a\ufffd"]
    assert replaced.repaired == {"utf8.replaced": 3}


@pytest.mark.parametrize("columns", [{"body": ["x"]}, {"text": [1]}, {"text": [["x"]]}, {"text": [{"text": "x"}]}])
def test_a_file_without_texts_is_quarantined(tmp_path, read_everything, columns):
    result = read_everything(write(tmp_path / "d.parquet", columns), "parquet")
    assert result.reasons == {"d.parquet": "parquet.missing_text"}


def test_no_rows(tmp_path, read_everything):
    result = read_everything(write(tmp_path / "d.parquet", {"text": pa.array([], pa.string())}), "parquet")
    assert result.records == 0


def test_a_damaged_row_group_does_not_take_the_others_with_it(tmp_path, read_everything):
    texts = [bytes(np.random.default_rng(i).integers(32, 127, 300, np.uint8)).decode() for i in range(100)]
    path = write(tmp_path / "d.parquet", {"text": texts}, row_group_size=20, write_page_checksum=True)
    column = pq.ParquetFile(path).metadata.row_group(2).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start + column.total_compressed_size // 2] ^= 1
    path.write_bytes(raw)
    for unit_bytes in (1, 1 << 20):
        result = read_everything(path, "parquet", unit_bytes=unit_bytes)
        assert result.texts == {f"d.parquet#{i}": texts[i] for i in range(100) if not 40 <= i < 60}
        assert result.reasons == {"d.parquet#group2": "parquet.invalid"}
        assert result.quarantine[0]["detail"].startswith("0 of 20 rows were read")


def test_cuts_and_flips_never_lose_a_row_silently(tmp_path, read_everything):
    texts = [f"text number {i} " * 5 for i in range(60)]
    path = write(tmp_path / "d.parquet", {"text": texts}, row_group_size=20, write_page_checksum=True)
    raw = path.read_bytes()
    expected = {f"d.parquet#{i}": text for i, text in enumerate(texts)}
    rng = np.random.default_rng(7)
    damaged = [raw[:length] for length in (0, 3, 4, 8, len(raw) // 2, len(raw) - 1)]
    for _ in range(150):
        copy = bytearray(raw)
        copy[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(copy))
    for data in damaged:
        path.write_bytes(data)
        result = read_everything(path, "parquet")
        assert set(result.reasons.values()) <= {"parquet.invalid", "parquet.missing_text", "utf8.invalid"}
        assert result.texts == expected or result.quarantine


def test_a_huge_repeated_text_is_measured_before_it_is_unpacked(tmp_path, read_everything):
    """A dictionary page with one text of 1 MiB, a million times: 1 TiB when unpacked, 1 MiB in the file."""
    rows = 1_000_000
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * (1 << 20)]))
    path = write(tmp_path / "d.parquet", {"text": texts[:20_000]})
    options = ReaderOptions(limits=Limits(max_document_bytes=1000))
    before = pa.total_allocated_bytes()
    result = read_everything(path, "parquet", options)
    assert [q["reason"] for q in result.quarantine] == ["record.too_large"] * 20_000
    assert pa.default_memory_pool().max_memory() - before < 1 << 30


def test_batches_are_cut_by_bytes(tmp_path):
    from corpusmill.pipeline.readers import cut, find_files, read

    path = write(tmp_path / "d.parquet", {"text": [f"{i:07d}" * 150_000 for i in range(40)]})
    (unit,) = cut(find_files([str(path)]), "parquet", "s")
    sizes = [batch.documents["text"].nbytes for batch in read(unit, ReaderOptions())]
    assert len(sizes) >= 4
    assert max(sizes) < 12 << 20
