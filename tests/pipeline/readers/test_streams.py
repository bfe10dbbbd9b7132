import bz2
import gzip
import hashlib
import json
import lzma
import resource
import subprocess
import sys
import zlib

import pyarrow as pa
import pytest

from corpusmill.pipeline.readers import Limits, ReaderOptions
from corpusmill.pipeline.readers.streams import StreamDamage, open_stream

ROWS = [json.dumps({"text": hashlib.shake_128(b"%d" % i).hexdigest(600)}).encode() + b"\n" for i in range(2500)]
DATA = b"".join(ROWS[:100])
COMPRESS = {
    ".gz": ("gzip", gzip.compress),
    ".bz2": ("bzip2", bz2.compress),
    ".xz": ("xz", lzma.compress),
    ".zst": ("zstd", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ".lz4": ("lz4", lambda data: pa.compress(data, codec="lz4", asbytes=True)),
}


def drain(path, limits=None):
    stream, out, damage = open_stream(str(path), limits or Limits()), b"", None
    try:
        while chunk := stream.read():
            out += chunk
    except StreamDamage as error:
        damage = error.reason
    assert stream.offset == len(out)
    stream.close()
    return out, damage


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_whole_files_of_one_and_more_members(tmp_path, suffix):
    _, compress = COMPRESS[suffix]
    path = tmp_path / f"x{suffix}"
    for raw, expected in [(compress(DATA), DATA), (compress(DATA) + compress(b"") + compress(b"end"), DATA + b"end")]:
        path.write_bytes(raw)
        assert drain(path) == (expected, None)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_cut_file_gives_what_is_before_the_cut_and_says_so(tmp_path, suffix):
    codec, compress = COMPRESS[suffix]
    raw = compress(DATA)
    path = tmp_path / f"x{suffix}"
    for length in (0, 1, 5, len(raw) // 3, len(raw) - 9, len(raw) - 1):
        path.write_bytes(raw[:length])
        out, damage = drain(path)
        assert DATA.startswith(out)
        assert damage in (f"{codec}.truncated", f"{codec}.invalid"), length
        assert length < 100 or damage == f"{codec}.truncated"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_truncated_jsonl_keeps_the_rows_before_the_cut(tmp_path, read_everything, suffix):
    codec, compress = COMPRESS[suffix]
    raw = compress(b"".join(ROWS))
    path = tmp_path / f"x.jsonl{suffix}"
    for length in range(len(raw) // 2, len(raw), len(raw) // 10):
        path.write_bytes(raw[:length])
        result = read_everything(path, "jsonl")
        assert [d["text"] for d in result.documents] == [json.loads(r)["text"] for r in ROWS[: len(result.documents)]]
        assert [q["reason"] for q in result.quarantine] == [f"{codec}.truncated"]
        cut = sum(map(len, ROWS[: len(result.documents)]))
        assert result.quarantine[0]["locator"] == f"x.jsonl{suffix}#{cut}"
    assert len(result.documents) > len(ROWS) * 3 // 4


def test_gzip_damage_by_kind(tmp_path):
    raw = gzip.compress(DATA)
    path = tmp_path / "x.gz"
    for bad, expected in [
        (raw + b"\0" * 1000, (DATA, None)),  # padding of tapes and block devices
        (raw + b"junk", (DATA, "gzip.invalid")),
        (raw + b"\0\0junk", (DATA, "gzip.invalid")),
        (raw[:-8] + b"\0\0\0\0" + raw[-4:], (DATA, "gzip.invalid")),
        (b"no gzip at all", (b"", "gzip.invalid")),
    ]:
        path.write_bytes(bad)
        out, damage = drain(path)
        assert damage == expected[1]
        assert DATA.startswith(out)
        assert out == expected[0]


def test_resume_goes_on_at_the_next_member(tmp_path):
    members = [gzip.compress(bytes([65 + i]) * 1000) for i in range(5)]
    members[2] = members[2][:15] + b"\xff" + members[2][16:]
    path = tmp_path / "x.gz"
    path.write_bytes(b"".join(members))
    stream, found = open_stream(str(path), Limits()), []
    while True:
        try:
            if not (chunk := stream.read()):
                break
            found.append(chunk[:1])
        except StreamDamage:
            found.append(b"!")
            if not stream.resume():
                break
    assert b"".join(found).replace(b"C", b"") == b"AB!DE"
    assert [compressed for _, compressed in stream.members][-1] == sum(map(len, members[:4]))
    stream.close()


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_ratio_beyond_the_limit_stops_the_stream(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("corpusmill.pipeline.readers.streams._RATIO_FLOOR_BYTES", 3 << 20)
    _, compress = COMPRESS[suffix]
    path = tmp_path / f"x{suffix}"
    path.write_bytes(compress(b"\0" * (8 << 20)))
    out, damage = drain(path, Limits(max_ratio=100))
    assert damage == "compression.ratio"
    assert len(out) <= 3 << 20


BOMB = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from corpusmill.pipeline.readers import *
for unit in cut(find_files([sys.argv[1]]), "jsonl", "s"):
    for batch in read(unit, ReaderOptions()):
        print(batch.quarantine["reason"].to_pylist(), batch.quarantine["bytes"].to_pylist())
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize(
    ("suffix", "reason"), [("", "record.too_large"), (".gz", "record.too_large"), (".zst", "compression.ratio")]
)
def test_an_endless_line_is_never_held(tmp_path, suffix, reason):
    """A line of 256 MiB (arrow#7835, datasets#3227), and the same as a bomb, under 1.5 GiB of address space."""
    path = tmp_path / f"bomb.jsonl{suffix}"
    size = 256 << 20
    if suffix == "":
        with path.open("wb") as file:
            file.truncate(size)
    elif suffix == ".gz":
        squeeze = zlib.compressobj(1, wbits=31)
        path.write_bytes(b"".join(squeeze.compress(b"\0" * (1 << 20)) for _ in range(256)) + squeeze.flush())
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as out:
            for _ in range(256):
                out.write(b"\0" * (1 << 20))
    limit = 1500 << 20
    before = resource.getrlimit(resource.RLIMIT_AS)[1]
    assert before == resource.RLIM_INFINITY or before >= limit
    run = subprocess.run(
        [sys.executable, "-c", BOMB, str(path), str(limit)], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    *rows, peak_kib = run.stdout.split("\n")[:-1]
    assert f"['{reason}']" in "".join(rows)
    assert suffix == ".zst" or str(size) in "".join(rows)
    assert int(peak_kib) < 330 << 10


def test_limits_are_checked():
    from corpusmill.errors import ConfigError

    for options in ({"max_ratio": 0}, {"max_depth": -1}, {"max_document_bytes": "16"}, {"max_html_s": float("nan")}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            Limits(**options)
    for options in ({"text_field": ""}, {"invalid_utf8": "ignore"}, {"main_content": 1}, {"date_fields": "date"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            ReaderOptions(**options)
