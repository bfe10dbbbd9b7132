"""Fields carried along from every format that has records."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.carried import carried_fields
from corpusmill.pipeline.readers import ReaderOptions

FIELDS = carried_fields({"stars": "repo.stars:int", "licence": "license"})
RECORDS = [
    {"text": "a", "repo": {"stars": 3}, "license": "MIT"},
    {"text": "b", "repo": {"stars": 4}, "license": None},
    {"text": "c", "repo": None, "license": "BSD-3-Clause"},
    {"text": None, "repo": {"stars": 5}, "license": "MIT"},
]
EXPECTED = [("a", 3, "MIT"), ("b", 4, None), ("c", None, "BSD-3-Clause")]


def rows(result):
    return [(row["text"], row["record.stars"], row["record.licence"]) for row in result.documents]


def test_jsonl(tmp_path: Path, read_everything) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, [*RECORDS, {"text": "d", "repo": {"stars": "many"}}])))
    result = read_everything(path, "jsonl", ReaderOptions(fields=FIELDS))
    assert rows(result) == [*EXPECTED, ("d", None, None)]
    assert result.repaired["field.unreadable"] == 1


def test_parquet(tmp_path: Path, read_everything) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(RECORDS), path, row_group_size=2)
    assert rows(read_everything(path, "parquet", ReaderOptions(fields=FIELDS))) == EXPECTED


def test_parquet_without_such_columns(tmp_path: Path, read_everything) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    assert rows(read_everything(path, "parquet", ReaderOptions(fields=FIELDS))) == [
        ("a", None, None),
        ("b", None, None),
    ]


def test_headers_of_web_archives(tmp_path: Path, read_everything) -> None:
    page = b'<!DOCTYPE html><HTML class=x lang="pt-BR"><body><p>Bom dia a todos os leitores.</p></body></html>'
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Language: pt\r\n\r\n" + page
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\n"
        "WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Target-URI: http://example.org/\r\nWARC-IP-Address: 192.0.2.1\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    path = tmp_path / "x.warc"
    path.write_bytes(head.encode() + http + b"\r\n\r\n")
    fields = carried_fields({"ip": "warc-ip-address", "language": "http.content-language", "lang": "html.lang"})
    (row,) = read_everything(path, "warc", ReaderOptions(fields=fields, main_content=False)).documents
    assert (row["record.ip"], row["record.language"], row["record.lang"]) == ("192.0.2.1", "pt", "pt-BR")
