import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError, InputError
from corpusmill.pipeline.readers import SourceFile, cut, find_files


def names(*patterns):
    return [file.name for file in find_files([str(p) for p in patterns])]


@pytest.fixture
def tree(tmp_path):
    for name in ("a.jsonl", "b.txt", "x/c.jsonl", "x/y/d.jsonl", "x/.hidden", ".git/e.jsonl", "x/[f].txt"):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "corpus"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", ["a.jsonl", "b.txt", "x/[f].txt", "x/c.jsonl", "x/y/d.jsonl"]),
        ("*.jsonl", ["a.jsonl"]),
        ("**", ["a.jsonl", "b.txt", "x/[f].txt", "x/c.jsonl", "x/y/d.jsonl"]),
        ("**/*.jsonl", ["a.jsonl", "x/c.jsonl", "x/y/d.jsonl"]),
        ("x/*.jsonl", ["c.jsonl"]),
        ("*/c.jsonl", ["x/c.jsonl"]),
        ("x/**/d.jsonl", ["y/d.jsonl"]),
        ("[ab].*", ["a.jsonl", "b.txt"]),
        ("[!a].*", ["b.txt"]),
        ("?.txt", ["b.txt"]),
        ("a.jsonl", ["a.jsonl"]),
        ("x/[f].txt", ["[f].txt"]),
        ("x/.h*", [".hidden"]),
        ("x/.hidden", [".hidden"]),
        (".git/*", ["e.jsonl"]),
    ],
)
def test_a_name_is_relative_to_the_fixed_part_of_its_pattern(tree, pattern, found):
    assert names(tree / pattern) == found
    if not pattern.startswith("x/[f]"):  # without wildcards in it, a URI can't tell a literal [
        assert names(f"file://{tree / pattern}") == found


def test_a_moved_corpus_has_the_same_names(tree):
    before = names(tree / "**/*.jsonl")
    tree.rename(tree.parent / "elsewhere")
    assert names(tree.parent / "elsewhere/**/*.jsonl") == before


def test_relative_patterns(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert names("x/*.jsonl") == ["c.jsonl"]
    assert names("*.txt") == ["b.txt"]
    assert all(Path(file.path).is_absolute() for file in find_files(["**"]))


def test_a_file_found_twice_is_read_once(tree):
    assert names(tree / "*.jsonl", tree / "a.*") == ["a.jsonl"]


def test_one_name_for_two_files_is_refused(tree):
    (tree / "x/a.jsonl").write_text("another")
    with pytest.raises(ConfigError, match=r"would both be called 'a\.jsonl'"):
        find_files([str(tree / "a.jsonl"), str(tree / "x/a.jsonl")])


@pytest.mark.parametrize("pattern", ["nothing", "*.warc", "no/such/folder/*", "x/*/*/z"])
def test_a_pattern_that_finds_nothing_is_named(tree, pattern):
    with pytest.raises(InputError, match="no file matches"):
        find_files([str(tree / "a.jsonl"), str(tree / pattern)])
    with pytest.raises(ConfigError, match="wanted a path"):
        find_files([""])


def test_links_are_followed_but_never_in_circles(tree):
    (tree / "x/up").symlink_to(tree)
    (tree / "linked").symlink_to(tree / "x/y")
    assert names(tree / "**/d.jsonl") == ["linked/d.jsonl", "x/y/d.jsonl"]


def test_a_dangling_link_or_a_pipe_is_not_passed_over(tree):
    (tree / "gone.jsonl").symlink_to(tree / "nowhere")
    with pytest.raises(InputError, match=r"gone\.jsonl can't be read"):
        find_files([str(tree / "*.jsonl")])
    assert names(tree / "*.txt") == ["b.txt"]
    os.mkfifo(tree / "pipe.txt")
    with pytest.raises(InputError, match="not a regular file"):
        find_files([str(tree / "*.txt")])


def test_a_name_that_is_no_utf8_is_spelled_out(tmp_path, read_everything):
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("hello")
    assert names(tmp_path) == ["\\xff.txt"]
    assert read_everything(tmp_path, "text").texts == {"\\xff.txt": "hello"}


def test_the_stamp_changes_with_the_file(tree):
    before = find_files([str(tree / "a.jsonl")])[0].stamp
    os.utime(tree / "a.jsonl", ns=(1, 2))
    assert before != find_files([str(tree / "a.jsonl")])[0].stamp == "2"


def files_of(sizes, suffix=".jsonl"):
    return [SourceFile(f"/p/{i:04d}{suffix}", f"{i:04d}{suffix}", size, "0") for i, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20), st.integers(1, 100))
def test_jsonl_slices_cover_every_byte_once(sizes, unit_bytes):
    files = files_of(sizes)
    units = cut(files, "jsonl", "web", unit_bytes)
    for file in files:
        spans = [(piece.start, piece.stop) for unit in units for piece in unit.slices if piece.name == file.name]
        assert [0, *(stop for _, stop in spans)] == [*(start for start, _ in spans), file.size]
    assert all(0 < unit.bytes <= unit_bytes or sum(p.stop - p.start for p in unit.slices) == 0 for unit in units)
    assert [unit.name for unit in units] == [f"{i:05d}-web" for i in range(len(units))]
    assert sum(unit.bytes for unit in units) == sum(sizes)


def test_compressed_and_other_formats_stay_whole():
    for suffix, format in ((".jsonl.gz", "jsonl"), (".jsonl.zst", "jsonl"), (".warc", "warc"), (".txt", "text")):
        units = cut(files_of([500, 20, 30], suffix), format, "web", 100)
        assert [[(p.start, p.stop) for p in unit.slices] for unit in units] == [[(0, 500)], [(0, 20), (0, 30)]]


def test_a_unit_is_plain_json():
    (unit,) = cut(files_of([5]), "jsonl", "web")
    assert json.loads(json.dumps(unit.to_json()))["slices"][0] == {
        "path": "/p/0000.jsonl", "name": "0000.jsonl", "start": 0, "stop": 5,
    }  # fmt: skip


def test_parquet_is_cut_at_row_groups(tmp_path):
    table = pa.table({"text": [os.urandom(500).hex() for _ in range(100)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10, use_dictionary=False, compression="none")
    units = cut(find_files([str(tmp_path)]), "parquet", "web", 25_000)
    assert [(p.start, p.stop) for unit in units for p in unit.slices] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert all(20_000 < unit.bytes <= 25_000 for unit in units)


def test_unit_bytes_is_checked():
    with pytest.raises(ConfigError, match="unit_bytes: got 0"):
        cut(files_of([1]), "jsonl", "web", 0)
