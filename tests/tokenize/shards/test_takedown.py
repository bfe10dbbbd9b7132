import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import (
    TAKEDOWNS_FILE,
    SkipList,
    Takedown,
    append_takedown,
    content_hash,
    id_table,
    listed,
    load_takedowns,
    write_skip_list,
)

L = 40
DOCUMENTS = [("a" if n % 3 else "b", f"note {n} " * (1 + n % 9)) for n in range(80)]
LONG, SHORT = 8, 9
"""A document that was cut, and one that shares its row."""


def identity(document: int) -> bytes:
    return document.to_bytes(16, "big")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> Packed:
    return write(tmp_path_factory.mktemp("takedown") / "shards", DOCUMENTS, sequence_length=L, rows_per_shard=9)


@pytest.fixture
def own(packed: Packed, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed.directory, tmp_path / "shards"))


def check_hidden(before: Packed, after: Packed, gone: set[tuple[int, int]]) -> None:
    """Segments in `gone`, (document, offset), are hidden in every way of reading, and nothing else has changed."""
    every = after.gather(np.arange(len(after)))
    hidden = 0
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        assert new.segments.tolist() == old.segments.tolist()
        assert new.document_ids == old.document_ids
        wanted = old.tokens.copy()
        flags = [(int(piece["document"]), int(piece["offset"])) in gone for piece in old.segments]
        for piece, flag in zip(old.segments, flags, strict=True):
            if flag:
                wanted[piece["start"] : piece["start"] + piece["length"]] = before.pad_id
        assert new.tokens.tolist() == wanted.tolist() == every.tokens[number].tolist()
        assert new.hidden.tolist() == flags == every.hidden[every.first[number] : every.first[number + 1]].tolist()
        hidden += sum(flags)
    assert hidden == len(gone) > 0


def pieces_of(packed: Packed, documents: set[int]) -> set[tuple[int, int]]:
    segments = np.concatenate([row.segments for row in packed])
    return {(int(piece["document"]), int(piece["offset"])) for piece in segments if piece["document"] in documents}


def test_a_document_taken_down_is_not_delivered(packed: Packed, own: Path) -> None:
    files = {path.name: path.read_bytes() for path in own.iterdir()}
    assert append_takedown(str(own), Takedown((identity(LONG), identity(SHORT)), "asked for", "2026-03-01")) == 2
    after = Packed(own, verify=True)
    gone = pieces_of(packed, {LONG, SHORT})
    assert len([offset for document, offset in gone if document == LONG]) > 1, "the long document was not cut"
    check_hidden(packed, after, gone)
    assert after.takedowns == (Takedown((identity(LONG), identity(SHORT)), "asked for", "2026-03-01"),)
    assert after.id == packed.id != after.content_id
    assert {path.name: path.read_bytes() for path in own.iterdir() if path.name in files} == files
    with pytest.raises(ValueError, match="read-only"):
        next(row for row in after if row.hidden.any()).tokens[0] = 1


def test_takedowns_add_up_and_are_not_made_twice(own: Path) -> None:
    one = Takedown((identity(3), identity(3)), "first", "2026-03-01")
    assert append_takedown(str(own), one) == 1
    kept = (own / TAKEDOWNS_FILE).read_bytes()
    assert append_takedown(str(own), Takedown((identity(3),), "again", "2026-03-02")) == 0
    assert (own / TAKEDOWNS_FILE).read_bytes() == kept
    assert append_takedown(str(own), Takedown((identity(5), identity(3), identity(4)), "more", "2026-03-03")) == 2
    assert load_takedowns(str(own)) == (
        Takedown((identity(3),), "first", "2026-03-01"),
        Takedown((identity(4), identity(5)), "more", "2026-03-03"),
    )


def test_a_changed_list_of_takedowns_stops_the_reader(own: Path) -> None:
    append_takedown(str(own), Takedown((identity(3),), "reason", "2026-03-01"))
    path = own / TAKEDOWNS_FILE
    good = path.read_bytes()
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 2]) + good[at + 1 :])
        with pytest.raises(IntegrityError):
            Packed(own)
    shutil.copyfile(own / "manifest.json", path)
    with pytest.raises(IntegrityError, match="not a list of takedowns"):
        Packed(own)


def test_a_skip_list_knows_documents_and_content(packed: Packed, tmp_path: Path) -> None:
    target = next(row for row in packed if len(row.segments) > 2)
    piece = target.segments[1]
    tokens = target.tokens[piece["start"] : piece["start"] + piece["length"]]
    path = str(tmp_path / "skip.json")
    segment = {"tokens": len(tokens), "xxh3_128": content_hash(tokens).hex(), "loss": 9.5}
    write_skip_list(path, [identity(LONG)], [segment])
    after = Packed(packed.directory, skip=path)
    check_hidden(packed, after, {*pieces_of(packed, {LONG}), (int(piece["document"]), int(piece["offset"]))})
    assert after.takedowns == ()
    assert after.content_id not in (packed.id, Packed(packed.directory, skip=SkipList({identity(LONG)})).content_id)
    assert json.loads(Path(path).read_text())["segments"] == [segment]


def test_content_is_known_again_after_packing_anew(
    packed: Packed, write: Callable[..., Packed], tmp_path: Path
) -> None:
    row = packed[0]
    piece = row.segments[0]
    tokens = row.tokens[piece["start"] : piece["start"] + piece["length"]]
    skip = SkipList(segments=frozenset({(len(tokens), content_hash(tokens))}))
    other = write(tmp_path / "other", DOCUMENTS[::-1], sequence_length=2 * L, rows_per_shard=4)
    whole = piece["length"] < L
    found = [
        row.tokens[each["start"] : each["start"] + each["length"]].tolist()
        for row, hidden in zip(other, Packed(other.directory, skip=skip), strict=True)
        for each in row.segments[hidden.hidden]
    ]
    assert whole
    assert found == [tokens.tolist()]


def test_the_hash_of_content_does_not_know_the_width_of_tokens() -> None:
    tokens = np.array([1, 2, 65_535], np.uint16)
    raw = b"\1\0\0\0\2\0\0\0\xff\xff\0\0"
    assert content_hash(tokens) == content_hash(tokens.astype(np.uint32)) == xxhash.xxh3_128_digest(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": "corpusmill.skip", "version": 2}',
        '{"format": "corpusmill.skip", "version": 1, "rows": []}',
        '{"format": "corpusmill.skip", "version": 1, "documents": ["12"]}',
        '{"format": "corpusmill.skip", "version": 1, "documents": [12]}',
        '{"format": "corpusmill.skip", "version": 1, "segments": ["12"]}',
        '{"format": "corpusmill.skip", "version": 1, "segments": [{"tokens": 3}]}',
        '{"format": "corpusmill.skip", "version": 1, "segments": [{"tokens": true, "xxh3_128": "' + "0" * 32 + '"}]}',
        '{"format": "corpusmill.skip", "version": 1, "segments": [{"tokens": 0, "xxh3_128": "' + "0" * 32 + '"}]}',
        "\udcff",
    ],
)
def test_what_is_no_skip_list_is_refused(text: str, tmp_path: Path, packed: Packed) -> None:
    path = tmp_path / "skip.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=r"skip\.json: not a skip list"):
        Packed(packed.directory, skip=path)
    with pytest.raises(ConfigError, match="not a skip list"):
        Packed(packed.directory, skip=tmp_path / "nowhere.json")


def test_an_empty_skip_list_hides_nothing(packed: Packed, tmp_path: Path) -> None:
    write_skip_list(str(tmp_path / "skip.json"))
    assert Packed(packed.directory, skip=tmp_path / "skip.json").content_id == packed.id


ids = st.lists(st.binary(min_size=16, max_size=16) | st.sampled_from([bytes(16), b"\xff" * 16, bytes(15) + b"\1"]))


@given(ids, ids)
def test_listed_ids(some: list[bytes], others: list[bytes]) -> None:
    wanted = [*some, *others[:3]]
    table = id_table(others)
    assert len(table) == len(set(others))
    found = listed(np.frombuffer(b"".join(wanted), np.uint8).reshape(-1, 16), table)
    assert found.tolist() == [each in others for each in wanted]
