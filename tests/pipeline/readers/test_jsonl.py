import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.pipeline.readers import Limits, ReaderOptions

COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
SMALL = ReaderOptions(limits=Limits(max_record_bytes=300, max_document_bytes=100, max_depth=4))

good = st.builds(
    lambda text, extra: json.dumps({"text": text, "n": extra}, ensure_ascii=False).encode("utf-8", "replace"),
    st.text(max_size=30),
    st.none() | st.integers() | st.lists(st.none(), max_size=2),
)
bad = st.sampled_from(
    [
        (b"{", "json.invalid"),
        (b'{"text": "a"} x', "json.invalid"),
        (b'{"text": NaN}', "json.invalid"),
        (b'{"text": "a", "x": -Infinity}', "json.invalid"),
        (b'{"text": "a", "x": 1e999}', "json.invalid"),
        (b'{"text": "a\x01"}', "json.invalid"),
        (b"\x00", "json.invalid"),
        (b'["text"]', "json.not_object"),
        (b'"text"', "json.not_object"),
        (b"{}", "json.missing_text"),
        (b'{"text": null}', "json.missing_text"),
        (b'{"text": 3}', "json.missing_text"),
        (b'{"text": "a\xff"}', "utf8.invalid"),
        (b'{"text": "a", "x": [[[[[]]]]]}', "json.too_deep"),
        (b'{"text": "a", "x": {"b": {"c": {"d": {"e": 1}}}}}', "json.too_deep"),
        (b'{"text": "%s"}' % (b"x" * 101), "record.too_large"),
        (b'{"text": "%s"}' % (b"x" * 400), "record.too_large"),
        (b" " * 299 + b"xx", "record.too_large"),
    ]
)
line = st.one_of(
    good.map(lambda raw: (raw, None)), bad, st.sampled_from([b"", b"  ", b"\t"]).map(lambda raw: (raw, "blank"))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(line, st.sampled_from([b"\n", b"\r\n"])), min_size=1, max_size=12),
    st.booleans(),
    st.integers(1, 600),
)
def test_every_line_is_a_document_or_in_quarantine_once_whatever_the_slices(
    tmp_path, read_everything, lines, last_newline, unit_bytes
):
    data, documents, rejected = b"", {}, {}
    for (raw, reason), end in lines:
        locator = f"d.jsonl#{len(data)}"
        if reason is None:
            documents[locator] = json.loads(raw)["text"]
        elif reason != "blank":
            rejected[locator] = reason
        data += raw + end
    data = data if last_newline else data.rstrip(b"\r\n")
    path = tmp_path / "d.jsonl"
    path.write_bytes(data)
    whole = read_everything(path, "jsonl", SMALL)
    assert whole.texts == documents
    assert whole.reasons == rejected
    sliced = read_everything(path, "jsonl", SMALL, unit_bytes)
    assert (sliced.documents, sliced.quarantine) == (whole.documents, whole.quarantine)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_locators_do_not_depend_on_compression(tmp_path, read_everything, suffix):
    rows = [json.dumps({"text": f"text {i} " * 50}).encode() + b"\n" for i in range(5000)]
    path = tmp_path / f"d.jsonl{suffix}"
    half = len(rows) // 2  # two members, or frames
    compress = COMPRESS[suffix]
    path.write_bytes(compress(b"".join(rows[:half])) + compress(b"".join(rows[half:])))
    result = read_everything(path, "jsonl", unit_bytes=100_000)
    offset, expected = 0, {}
    for i, row in enumerate(rows):
        expected[f"d.jsonl{suffix}#{offset}"] = f"text {i} " * 50
        offset += len(row)
    assert result.texts == expected
    assert not result.quarantine


def one(tmp_path, read_everything, raw, **options):
    path = tmp_path / "one.jsonl"
    path.write_bytes(raw)
    return read_everything(path, "jsonl", ReaderOptions(**options))


def test_fields_become_columns(tmp_path, read_everything):
    row = {"content": "hi", "link": "http://x/", "when": "2020-02-03T04:05:06+01:00", "text": "not this"}
    options = {"text_field": "content", "url_field": "link", "date_fields": ("seen", "when")}
    (document,) = one(tmp_path, read_everything, json.dumps(row).encode(), **options).documents
    assert (document["text"], document["url"], str(document["date"])) == ("hi", "http://x/", "2020-02-03 03:05:06")
    (document,) = one(tmp_path, read_everything, b'{"text": "", "url": 3}').documents
    assert (document["text"], document["url"], document["date"]) == ("", None, None)


@pytest.mark.parametrize("date", ['"yesterday"', "1e18", "[1]", "true", '"0000-00-00"', '"2009-03-65T08:43:19-0800"'])
def test_an_unreadable_date_is_null_and_counted(tmp_path, read_everything, date):
    result = one(tmp_path, read_everything, b'{"text": "a", "date": %s}' % date.encode())
    assert result.documents[0]["date"] is None
    assert result.repaired == {"date.unreadable": 1}


def test_lone_surrogates_are_replaced_and_counted(tmp_path, read_everything):
    raw = rb'{"text": "a\ud800b\ud83d\ude00", "url": "http://\udfff"}' + b"\n" + rb'{"text": "fine"}'
    result = one(tmp_path, read_everything, raw)
    assert [d["text"] for d in result.documents] == ["a\ufffdb\U0001f600", "fine"]
    assert result.documents[0]["url"] == "http://\ufffd"
    assert result.repaired == {"surrogates.replaced": 1}


def test_invalid_utf8_by_policy(tmp_path, read_everything):
    raw = b'{"text": "a\xffb"}\n{"text": "\xe4\xb8"}\n{"text": "ok"}'
    rejected = one(tmp_path, read_everything, raw)
    assert list(rejected.reasons.values()) == ["utf8.invalid"] * 2
    assert rejected.quarantine[0]["detail"] == "invalid start byte at byte 11 of the line"
    replaced = one(tmp_path, read_everything, raw, invalid_utf8="replace")
    assert [d["text"] for d in replaced.documents] == ["a\ufffdb", "\ufffd", "ok"]
    assert replaced.repaired == {"utf8.replaced": 2}


def test_nul_bom_and_odd_characters_pass(tmp_path, read_everything):
    text = "\0\u202e\ufeff\U000e0001\x85\u2028"
    result = one(tmp_path, read_everything, b"\xef\xbb\xbf" + json.dumps({"text": text}).encode())
    assert result.documents[0]["text"] == text


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"text": "a", "x": ' + b"[" * 80 + b"]" * 80 + b"}"]
)
def test_nesting_ends_in_quarantine(tmp_path, read_everything, raw):
    (reason,) = one(tmp_path, read_everything, raw).reasons.values()
    assert reason in ("json.too_deep", "json.invalid")


def test_depth_is_exact(tmp_path, read_everything):
    limits = Limits(max_depth=3)
    raw = b'{"text": "a", "x": [[]]}\n{"text": "a", "x": [[[]]]}'
    assert list(one(tmp_path, read_everything, raw, limits=limits).reasons) == ["one.jsonl#25"]


def test_a_5000_digit_integer(tmp_path, read_everything):
    result = one(tmp_path, read_everything, b'{"text": "a", "n": %s}' % (b"9" * 5000))
    assert list(result.reasons.values()) == ["json.invalid"]
    assert "999" not in result.quarantine[0]["detail"]


def test_sizes_exactly_at_the_limits(tmp_path, read_everything):
    limits = Limits(max_document_bytes=10, max_record_bytes=40)
    rows = [b'{"text": "0123456789"}', b'{"text": "0123456789a"}', b'{"text": "%s"}' % "ä".encode() * 1]
    rows += [b'{"text": "a"}'.ljust(40), b'{"text": "a"}'.ljust(41)]
    result = one(tmp_path, read_everything, b"\n".join(rows), limits=limits)
    assert [d["text"] for d in result.documents] == ["0123456789", "ä", "a"]
    assert [(q["reason"], q["bytes"]) for q in result.quarantine] == [
        ("record.too_large", 23),
        ("record.too_large", 41),
    ]


def test_dolma_shard_rs_break_and_datatrove_78(tmp_path, read_everything):
    """One unreadable line must not end the file."""
    raw = b'{"text": "1"}\n{"te\n\xff\xfe\n{"text": "2"}\n'
    result = one(tmp_path, read_everything, raw)
    assert [d["text"] for d in result.documents] == ["1", "2"]
    assert len(result.quarantine) == 2


def test_quarantine_details_quote_nothing(tmp_path, read_everything):
    rows = [
        b'{"secret',
        b'{"text": "secret" secret}',
        b"secret",
        b'{"text": ["secret"]}',
        b'{"secret": 1}',
        b'"secret"',
    ]
    for row in one(tmp_path, read_everything, b"\n".join(rows)).quarantine:
        assert "secret" not in row["detail"]


def test_same_quarantine_hash_wherever_the_chunks_end(tmp_path, read_everything):
    limits = Limits(max_record_bytes=1 << 16)
    hashes = set()
    for lead in (0, 1, 5000, (1 << 20) - 10):
        path = tmp_path / f"{lead}.jsonl"
        path.write_bytes(b" " * lead + b"\n" + bytes(range(32, 127)) * 2000 + b'\n{"text": "a"}')
        result = read_everything(path, "jsonl", ReaderOptions(limits=limits))
        hashes.add(next(q["head_xxh128"] for q in result.quarantine if q["bytes"] == 190_000))
        assert [d["text"] for d in result.documents] == ["a"]
    assert len(hashes) == 1
