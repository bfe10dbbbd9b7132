import json
import random

import pytest

from corpusmill.errors import InputError
from corpusmill.jobs import demo_sources
from corpusmill.jobs.demo_sources import DemoSource, find_demo_sources, write_demo_sources
from corpusmill.pipeline.readers import ReaderOptions, cut, find_files, read

MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def sources():
    return find_demo_sources(0, MAX_BYTES)


def test_python_alone_gives_real_text(sources):
    by_name = {source.name: source for source in sources}
    assert {"packages", "docstrings", "code"} <= set(by_name) <= {"packages", "docstrings", "code", "manual", "doc"}
    assert MAX_BYTES // 2 < sum(source.bytes for source in sources) <= MAX_BYTES
    for source in sources:
        urls = [url for _, url in source.documents]
        assert urls == sorted(urls)
        assert len(set(urls)) == len(urls)
        assert not any(url.startswith("/") for url in urls)
        assert all(text for text, _ in source.documents)
    assert any("def " in text for text, _ in by_name["code"].documents)
    assert any("icens" in text for text, _ in by_name["packages"].documents)
    assert not set(by_name["code"].documents) & set(by_name["docstrings"].documents)


def test_code_and_docstrings_come_from_different_files(sources):
    urls = {source.name: {url for _, url in source.documents} for source in sources}
    assert not urls["code"] & urls["docstrings"]


def test_no_package_dominates(sources):
    for source in sources:
        if source.name in ("code", "docstrings"):
            folders = {url.partition("packages/")[2].partition("/")[0] for _, url in source.documents}
            assert len(folders) > 20


def test_written_files_are_read_whole_and_the_same_every_time(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(demo_sources, "find_demo_sources", lambda *_: sources)
    paths = write_demo_sources(tmp_path / "sources", MAX_BYTES)
    assert list(paths) == [source.name for source in sources]
    for source in sources:
        found = []
        for unit in cut(find_files([str(paths[source.name])]), "jsonl", source.name):
            for batch in read(unit, ReaderOptions()):
                assert not len(batch.quarantine)
                found += zip(batch.documents["text"].to_pylist(), batch.documents["url"].to_pylist(), strict=True)
        assert tuple(found) == source.documents
    first = json.loads(next(iter(paths.values())).read_text().split("\n")[0])
    assert set(first) == {"text", "url", "date"}


def test_the_order_in_which_files_are_found_does_not_matter(tmp_path):
    files = []
    for i in range(40):
        path = tmp_path / f"{i}.txt"
        path.write_text(f"{i} " * 50)
        files.append(demo_sources._File(path, f"g{i % 3}/{i}.txt", f"g{i % 3}"))
    taken = demo_sources._take(files, str, 2000)
    assert 1500 < sum(len(text) for text, _ in taken) <= 2000
    assert {url.partition("/")[0] for _, url in taken} == {"g0", "g1", "g2"}
    random.Random(1).shuffle(files)  # noqa: S311
    assert demo_sources._take(files, str, 2000) == taken


def test_too_little_text_is_an_error(monkeypatch):
    monkeypatch.setattr(demo_sources, "_python_files", lambda: iter(()))
    monkeypatch.setattr(demo_sources, "_system_files", lambda _: iter(()))
    with pytest.raises(InputError, match="only 0 bytes of text were found"):
        find_demo_sources(1, 1000)
    assert find_demo_sources(0, 1000) == []


def test_docstrings_in_order():
    code = (
        '"""Module."""\nclass A:\n    """Class\n    indented."""\n    def f(self):\n        r"""F \\d."""\ndef g(): 1\n'
    )
    assert demo_sources._docstrings(code) == "Module.\n\nClass\nindented.\n\nF \\d."
    assert demo_sources._docstrings('x = 1\n"""not at the top"""') == ""
    assert demo_sources._docstrings('"""broken"""\ndef (') == ""
    assert demo_sources._docstrings('"""little"""\n' + "x = 1\n" * 100) == ""


def test_long_descriptions_without_their_headers():
    assert demo_sources._body("Metadata-Version: 2.1\nName: x\n\n# X\n\nText.\n") == "# X\n\nText."
    assert demo_sources._body("Metadata-Version: 2.1\nName: x\n") == ""
    assert demo_sources._body("# X\n\nText.\n") == "# X\n\nText.\n"


def test_manual_pages_become_text():
    page = '.\\" comment\n.TH X 1\n.SH "NAME"\nx \\- do \\fBit\\fR\n.PP\n.B bold text\n.BR f (1),\n'
    page += ".IP \\(bu 2\nitem\\&.\n.nf\n\\(aqq\\(aq\n"
    assert demo_sources._unroff(page) == "NAME\n\nx - do it\n\nbold text\nf(1),\n\n*\nitem.\n'q'\n"


def test_a_source_counts_utf8_bytes():
    assert DemoSource("x", (("ä", "u"), ("a", "v"))).bytes == 3


@pytest.mark.parametrize("raw", [b"\xff", b"a\0b", b"x" * ((256 << 10) + 1), b""])
def test_files_that_are_no_text_are_left_out(tmp_path, raw):
    (tmp_path / "a.txt").write_bytes(raw)
    (tmp_path / "b.txt.gz").write_bytes(raw)
    assert demo_sources._read(tmp_path / "a.txt") == demo_sources._read(tmp_path / "b.txt.gz") == ""
    assert demo_sources._read(tmp_path / "missing") == demo_sources._read(tmp_path) == ""
