"""85 archives of 12 projects, whole and broken."""

import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator

DATA = os.environ.get("CORPUSMILL_TEST_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="CORPUSMILL_TEST_DATA does not name the folder with warc/warc.tar.xz")

DAMAGED = {
    "clipped.warc.gz": ["gzip.truncated"],
    "transfer_compression_none_truncated.warc.gz": ["gzip.truncated"],
    "double-single-inflate-error.gz": ["gzip.invalid", "warc.invalid"],
    "missing-status-text.warc": ["warc.invalid"],  # every line ends in CR CR LF
    "Evil-Warc-Headers.warc": ["warc.truncated_record"],
    "pywb/sample_archive/warcs/example.warc": ["warc.wrong_length"],
    "example-trunc.warc": ["warc.wrong_length"],
    "example-extra.warc": ["http.invalid"],  # HTTPX/1.1
    **{name: ["warc.invalid"] for name in ("abcd.gz", "/hi.gz", "hi-2.gz", ".arc", ".arc.gz")},
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    with tarfile.open(Path(DATA) / "warc/warc.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def fastwarc_types(path):
    return Counter(str(r.record_type) for r in ArchiveIterator(path.open("rb"), parse_http=False))


def test_every_archive_is_read_and_every_record_accounted_for(zoo, read_everything):
    paths = sorted(path for path in zoo.rglob("*") if path.is_file())
    assert len(paths) == 85
    totals = Counter()
    for path in paths:
        result = read_everything(path, "wet" if ".wet" in path.name else "warc")
        expected = next((reasons for name, reasons in DAMAGED.items() if str(path).endswith(name)), [])
        assert [q["reason"] for q in result.quarantine] == expected, path
        if not expected:
            types = fastwarc_types(path)
            assert result.records == sum(types.values()), path
            skipped = {k.removeprefix("warc."): n for k, n in result.skipped.items()}
            for kind in ("request", "revisit", "metadata", "warcinfo", "resource"):
                assert skipped.get(kind, 0) == types[kind], path
        totals.update(documents=len(result.documents), quarantined=len(result.quarantine), records=result.records)
    assert totals == {"documents": 438, "quarantined": 23, "records": 2822}


@pytest.mark.parametrize("name", ["warcfile.warc", "example.warc", "whirlwind.warc", "google.warc"])
def test_compression_does_not_change_the_documents(zoo, read_everything, name):
    folders = {path.parent for path in zoo.rglob(name) if (path.parent / f"{name}.gz").exists()}
    assert folders
    for folder in folders:
        if "pywb" in str(folder):
            continue  # its plain file is damaged
        variants = [folder / name, folder / f"{name}.gz", *folder.glob(f"{name}.lz4")]
        texts = [[d["text"] for d in read_everything(path, "warc").documents] for path in variants]
        assert all(text == texts[0] for text in texts)


def test_one_page_in_three_forms(zoo, read_everything):
    """The text of a Common Crawl page, and Common Crawl's own conversion of it, share nearly all their words."""
    ours = read_everything(next(zoo.rglob("whirlwind.warc.gz")), "warc").documents[0]
    theirs = read_everything(next(zoo.rglob("whirlwind.warc.wet.gz")), "wet").documents[0]
    assert (ours["url"], ours["date"]) == (theirs["url"], theirs["date"])
    words, all_words = set(ours["text"].split()), set(theirs["text"].split())
    assert len(words & all_words) > 0.9 * len(words)
