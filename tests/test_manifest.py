"""Manifests and files: whole or not there, and no byte changes unseen."""

import json
import os
import stat
from pathlib import Path

import pytest

from corpusmill import manifest, storage
from corpusmill.errors import IntegrityError, NotCommitted
from corpusmill.storage import FileEntry, atomic_writer


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    body = {"files": [], "name": "é", "n": 3}
    manifest.commit(str(tmp_path / "m.json"), body)
    assert manifest.load(str(tmp_path / "m.json")) == body


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    manifest.commit(str(path), {"files": [{"path": "a", "bytes": 1, "sha256": "00"}], "name": "n"})
    good = path.read_bytes()
    for at in range(len(good)):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]):
            path.write_bytes(bad)
            with pytest.raises(IntegrityError):
                manifest.load(str(path))


def test_no_manifest_is_not_committed(tmp_path: Path) -> None:
    with pytest.raises(NotCommitted):
        manifest.load(str(tmp_path / "m.json"))


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_writer(str(path)) as sink:
            sink.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize(
    ("durable", "forced"), [(True, ["file", "folder"]), ("content", ["file"]), (False, [])], ids=str
)
def test_what_is_forced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: storage.Durable, forced: list[str]
) -> None:
    """The content before the name, and the name as soon as the next durable file of the folder."""
    seen: list[tuple[str, bool]] = []

    def fsync(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        seen.append((kind, (tmp_path / "m.json").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    manifest.commit(str(tmp_path / "m.json"), {"n": 1}, durable=durable)
    assert seen == [(kind, kind == "folder") for kind in forced]
    assert manifest.load(str(tmp_path / "m.json")) == {"n": 1}


def test_entries_are_checked_by_size_and_by_content(tmp_path: Path) -> None:
    with atomic_writer(str(tmp_path / "f")) as sink:
        sink.write(b"some ")
        sink.write(memoryview(b"bytes"))
    entry = FileEntry("f", sink.bytes, sink.sha256)
    storage.check(entry, str(tmp_path), content=True)
    (tmp_path / "f").write_bytes(b"some bytez")
    storage.check(entry, str(tmp_path), content=False)
    with pytest.raises(IntegrityError, match="sha256"):
        storage.check(entry, str(tmp_path), content=True)
    (tmp_path / "f").write_bytes(b"some")
    with pytest.raises(IntegrityError, match="4 bytes"):
        storage.check(entry, str(tmp_path), content=False)
    (tmp_path / "f").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        storage.check(entry, str(tmp_path), content=False)


def test_current_only_with_the_same_fingerprint_and_all_files(tmp_path: Path) -> None:
    digest = storage.write_bytes(str(tmp_path / "f"), b"abc")
    body = {"fingerprint": "x", "files": [FileEntry("f", 3, digest).to_json()]}
    path = str(tmp_path / "m.json")
    manifest.commit(path, body)
    assert manifest.is_current(path, "x", str(tmp_path)) == body
    assert manifest.is_current(path, "y", str(tmp_path)) is None
    (tmp_path / "f").unlink()
    assert manifest.is_current(path, "x", str(tmp_path)) is None


def test_canonical_json_has_one_form() -> None:
    assert manifest.canonical({"b": 1, "a": [1, 2]}) == manifest.canonical(json.loads('{"a":[1,2],"b":1}'))
    with pytest.raises(ValueError, match="JSON"):
        manifest.canonical({"x": float("nan")})
