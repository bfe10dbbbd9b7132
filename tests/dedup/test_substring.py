"""`substring`: every window that occurs twice is found, one copy stays, no character is cut."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.cuts import cut_out
from corpusmill.dedup import windows
from corpusmill.dedup.anchors import anchors, extract, live
from corpusmill.dedup.lines import find_lines
from corpusmill.dedup.sentences import Sentences
from corpusmill.dedup.spans import cuts_of_spans
from corpusmill.dedup.substring import Substring
from corpusmill.dedup.windows import FIRST, LATER, SHARED, group_spans
from corpusmill.errors import ConfigError
from corpusmill.text import Texts

Window = tuple[int, int, int]
"""Document, position, kind."""


def spans_of(texts: Texts, size: int, *, shared: bool = False, parts: int = 1) -> np.ndarray:
    """The barrier's phases 1 to 4 without a pipeline, with keys in several groups."""
    found = anchors(texts, size).records
    found = found[live(found)]
    data, at = extract(texts, found, size)
    group = found["high"] % np.uint64(parts)
    spans = [group_spans(found[group == n], data, at[group == n], size, shared=shared) for n in range(parts)]
    return np.concatenate(spans)


def windows_of(spans: np.ndarray, size: int) -> list[Window]:
    """The windows that spans are made of, in order."""
    found = []
    for document, start, stop, kind in spans.tolist():
        assert stop - start >= size
        found += [(document, place, kind) for place in range(start, stop - size + 1)]
    return sorted(found)


def oracle(texts: list[bytes], size: int, *, shared: bool = False) -> list[Window]:
    """The same by looking at every window."""
    places = defaultdict(list)
    for d, text in enumerate(texts):
        for p in range(len(text) - size + 1):
            places[text[p : p + size]].append((d, p))
    found: list[Window] = []
    for copies in places.values():
        if len(copies) == 1:
            continue
        if shared and copies[0][0] != copies[-1][0]:
            found += [(d, p, SHARED) for d, p in copies]
        else:
            found += [(d, p, LATER if n else FIRST) for n, (d, p) in enumerate(copies)]
    return sorted(found)


def left_by_oracle(texts: list[str], size: int, keep: str) -> list[str]:
    """What the barrier leaves, in plain Python: characters of which not every byte is cut stay."""
    encoded = [text.encode() for text in texts]
    gone = [bytearray(len(text)) for text in encoded]
    found = oracle(encoded, size, shared=keep == "none")
    for kind in (LATER, FIRST, SHARED):
        for d, p, k in found:
            if k == kind:
                gone[d][p : p + size] = bytes([kind != FIRST]) * size
    left = []
    for text, cut in zip(texts, gone, strict=True):
        ends = np.cumsum([0, *(len(c.encode()) for c in text)])
        left.append("".join(c for c, a, b in zip(text, ends, ends[1:], strict=False) if not all(cut[a:b])))
    return left


def dedup(texts: list[str], size: int, keep: str = "first", snap: str = "none") -> list[str]:
    """The whole barrier without a pipeline."""
    batch = Texts.from_strings(texts)
    cuts = cuts_of_spans(batch, spans_of(batch, size, shared=keep == "none"), snap)  # type: ignore[arg-type]
    left = cut_out(batch, np.arange(len(batch)), cuts.row, cuts.start, cuts.stop)
    assert (batch.bytes - left.bytes == cuts.cut).all()
    left.to_arrow().validate(full=True)
    strings = left.to_list()
    assert cuts.blank.tolist() == [c > 0 and not s.strip() for c, s in zip(cuts.cut, strings, strict=True)]
    return strings


letters = st.text("ab", max_size=30)
runs = st.lists(st.sampled_from(["a", "ab", "abc", "aaaaaaaa", "abababab", "b", "cc"]), max_size=12).map("".join)
corpora = st.lists(st.one_of(letters, runs), max_size=6)


@given(texts=corpora, size=st.integers(2, 12), shared=st.booleans(), parts=st.integers(1, 3))
def test_windows_against_an_oracle(texts: list[str], size: int, shared: bool, parts: int) -> None:
    spans = spans_of(Texts.from_strings(texts), size, shared=shared, parts=parts)
    assert windows_of(spans, size) == oracle([text.encode() for text in texts], size, shared=shared)


@given(texts=corpora, size=st.integers(2, 12), shared=st.booleans(), most=st.integers(1, 9))
def test_a_table_that_is_too_small_for_a_bucket(texts: list[str], size: int, shared: bool, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "TABLE_WINDOWS", most)
        spans = spans_of(Texts.from_strings(texts), size, shared=shared)
    assert windows_of(spans, size) == oracle([text.encode() for text in texts], size, shared=shared)


@pytest.mark.parametrize("keep", ["first", "none"])
@given(texts=st.lists(st.text(st.sampled_from("aé漢👍\u0301\0 \n"), max_size=14), max_size=5), size=st.integers(2, 9))
def test_what_is_left_against_an_oracle(keep: str, texts: list[str], size: int) -> None:
    assert dedup(texts, size, keep) == left_by_oracle(texts, size, keep)


@given(texts=corpora, size=st.integers(2, 8))
def test_one_copy_of_everything_stays_whole(texts: list[str], size: int) -> None:
    batch = Texts.from_strings(texts)
    cuts = cuts_of_spans(batch, spans_of(batch, size), "none")
    there = [bytearray(b"\1" * len(text)) for text in texts]
    for row, start, stop in zip(cuts.row, cuts.start, cuts.stop, strict=True):
        there[row][start:stop] = bytes(stop - start)
    every = Counter(text[p : p + size] for text in texts for p in range(len(text) - size + 1))
    whole = {
        text[p : p + size]
        for text, keep in zip(texts, there, strict=True)
        for p in range(len(text) - size + 1)
        if all(keep[p : p + size])
    }
    assert whole >= {window for window, copies in every.items() if copies > 1}


@given(texts=corpora, size=st.integers(2, 8), order=st.randoms(use_true_random=False))
def test_order_and_splitting_do_not_matter(texts: list[str], size: int, order: random.Random) -> None:
    batch = Texts.from_strings(texts)
    spans = spans_of(batch, size)
    found = anchors(batch, size).records
    found = found[live(found)]
    data, at = extract(batch, found, size)
    shuffled = list(range(len(found)))
    order.shuffle(shuffled)
    again = group_spans(found[shuffled], data, at[shuffled], size, shared=False)
    assert windows_of(again, size) == windows_of(spans, size)
    wanted = cuts_of_spans(batch, spans, "none")
    mixed = cuts_of_spans(batch, again[::-1], "none")
    parts = []
    for n in range(len(texts)):
        mine = again[again["document"] == n]
        mine["document"] = 0
        cuts = cuts_of_spans(Texts(batch.data, batch.offsets[n : n + 2]), mine, "none")
        parts += [(n, a, b) for a, b in zip(cuts.start.tolist(), cuts.stop.tolist(), strict=True)]
    for cuts in (wanted, mixed):
        assert list(zip(cuts.row.tolist(), cuts.start.tolist(), cuts.stop.tolist(), strict=True)) == parts


def test_no_duplicates_at_all() -> None:
    texts = [random.Random(n).randbytes(2000).hex() for n in range(20)]  # noqa: S311
    assert dedup(texts, 50) == texts


def test_all_identical() -> None:
    text = random.Random(1).randbytes(3000).hex()  # noqa: S311
    assert dedup([text] * 50, 50) == [text] + [""] * 49
    assert dedup([text] * 50, 50, "none") == [""] * 50


def test_all_empty_or_too_short() -> None:
    assert dedup([], 50) == []
    assert dedup(["", " ", "a" * 49] * 5, 50) == ["", " ", "a" * 49] * 5


def test_overlapping_copies_keep_one_whole() -> None:
    assert dedup(["a" * 1000], 16) == ["a" * 16]
    assert dedup(["ab" * 500, "ba" * 500], 16) == ["ab" * 8 + "a", ""]
    assert dedup(["a" * 1000], 16, "none") == ["a" * 16]
    assert dedup(["a" * 1000, "a" * 20, "a" * 15], 16, "none") == ["", "", "a" * 15]


def test_a_run_that_others_have_a_piece_of() -> None:
    one, two, three = "x" * 30 + "-" * 500, "y" * 9 + "-" * 40 + "z" * 9, "-" * 16
    assert dedup([three, one, two], 16) == [three, "x" * 16, "yyyyyyyyyzzzzzzzzz"]
    assert dedup([one, two, three], 16) == ["x" * 16 + "-" * 16, "yyyyyyyyyzzzzzzzzz", ""]


def test_one_giant_cluster() -> None:
    footer = "All rights reserved; terms, conditions and other boilerplate apply to this page."
    texts = [f"{n * 7919 % 1000:03} {footer} {n:05}" for n in range(3000)]
    left = dedup(texts, 60)
    assert left == left_by_oracle(texts, 60, "first")
    assert sum(map(len, left)) < 0.3 * sum(map(len, texts))


def test_one_key_with_many_classes() -> None:
    # A gram of 100 bytes that 3000 texts have, but for pairs no window of 200: nothing but pairs may be cut.
    rng = random.Random(3)  # noqa: S311
    gram = "".join(rng.choices("abcdefgh", k=120))
    around = [(rng.randbytes(100).hex(), rng.randbytes(100).hex()) for _ in range(3000)]
    texts = [a + gram + b for a, b in around] + [a[-90:] + gram + "!" for a, _ in around[:5]]
    left = dedup(texts, 200)
    assert left[:3000] == texts[:3000]
    assert left[3000:] == ["!"] * 5


def test_hostile_texts_twice() -> None:
    texts = ["", " \n" * 30, "\0" * 64, "e\u0301" * 40, "שלום" * 20, "👩‍👩‍👧" * 12, "\ud800" * 40, "x" * 70_000]
    clean = Texts.from_strings(texts * 2).to_list()
    assert dedup(texts * 2, 20) == left_by_oracle(clean, 20, "first")


def test_whole_lines_only() -> None:
    menu = "Home | News | Sport | Weather | Contact us"
    texts = [f"{menu}\nOne story", f"{menu} \n\nAnother: {menu}\nEnd", f"x{menu}\n{menu}\n"]
    assert dedup(texts, 30, snap="line") == [texts[0], f"Another: {menu}\nEnd", f"x{menu}"]
    assert dedup(["é" * 40 + "\n" + "ü" * 9, "é" * 40 + "\n" + "üü!"], 30, snap="line")[1] == "üü!"


def test_whole_sentences_only() -> None:
    said = "It was the best of times, it was the worst of times."
    texts = [f"First. {said} Last.", f"One. {said} Two.", f"{said}\nThree, {said} Four."]
    wanted = ["One. Two.", f"Three, {said} Four."]
    assert dedup(texts, 40, snap="sentence")[1:] == wanted


@pytest.mark.parametrize("snap", ["line", "sentence"])
@given(texts=st.lists(st.lists(st.sampled_from(["ab", "abc. ", "\n", " ", "é é! ", "cab"]), max_size=9), max_size=4))
def test_pieces_go_when_all_of_their_bytes_do(snap: str, texts: list[list[str]]) -> None:
    batch = Texts.from_strings(["".join(parts) for parts in texts])
    spans = spans_of(batch, 4)
    plain, snapped = cuts_of_spans(batch, spans, "none"), cuts_of_spans(batch, spans, snap)  # type: ignore[arg-type]
    gone, taken = (np.zeros(len(batch.data), dtype=np.bool_) for _ in range(2))
    for mask, cuts in ((gone, plain), (taken, snapped)):
        for row, start, stop in zip(cuts.row, cuts.start, cuts.stop, strict=True):
            mask[batch.offsets[row] + start : batch.offsets[row] + stop] = True
    pieces = find_lines(batch) if snap == "line" else Sentences(span=1).pieces(batch)
    for start, stop in zip(pieces.start, pieces.stop, strict=True):
        assert taken[start:stop].all() if gone[start:stop].all() else not taken[start:stop].any()
    for row, length in enumerate(batch.bytes):
        assert taken[batch.offsets[row] :][:length].sum() == snapped.cut[row]


def test_dedup_text_datasets_34_keeps_a_copy() -> None:
    """Its suffix array marks both copies of a pair; which one stays is the first here."""
    story = "It was the best of times, it was the worst of times, it was the age of wisdom."
    assert dedup([f"A {story} B", f"C {story} D"], 40) == [f"A {story} B", "CD"]


def test_text_dedup_14_chinese_is_not_cut_in_bytes() -> None:
    one, two = "中文文本去重不应切断字符", "华文文本去重不应切断宇宙"
    assert dedup([one, two], 6)[1] == "华宇宙"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_bytes": 15}, "min_bytes = 15"),
        ({"min_bytes": 16_001}, "min_bytes = 16001"),
        ({"keep": "longest"}, "keep = 'longest'"),
        ({"snap": "word"}, "snap = 'word'"),
        ({"save": "index"}, "`against` and `save` are not for it"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"substring: {message}"):
        Substring(**options)  # type: ignore[arg-type]


def test_the_step_is_its_functions() -> None:
    texts = ["a b c d e f g h i " * 3, "Z a b c d e f g h i Z"]
    step = Substring(min_bytes=16, keep="none")
    batch = Texts.from_strings(texts)
    records = step.anchors(batch).records
    records = records[live(records)]
    cuts = step.cuts(batch, step.spans(records, *step.extract(batch, records)))
    left = cut_out(batch, np.arange(2), cuts.row, cuts.start, cuts.stop).to_list()
    assert left == dedup(texts, 16, "none")


def suffix_array(data: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions sorted by the `least` bytes that follow and the rank of those bytes, by doubling prefixes."""
    rank, length = data.astype(np.int64) + 1, 1
    while True:
        step = min(length, least - length)
        behind = np.zeros_like(rank)
        behind[: len(rank) - step] = rank[step:]
        pair = rank * (int(rank.max()) + 1) + behind
        order = np.argsort(pair, kind="stable")
        sorted_ = pair[order]
        rank[order] = np.cumsum(np.append(1, sorted_[1:] != sorted_[:-1]))
        length += step
        if length == least:
            return order, rank


def windows_of_a_suffix_array(texts: Texts, size: int) -> tuple[np.ndarray, np.ndarray]:
    """bool[b] each: the positions of the data at which the first and at which another copy of a window begins."""
    order, rank = suffix_array(texts.data, size)
    whole = np.zeros(len(texts.data), dtype=np.bool_)
    for a, b in zip(texts.offsets, texts.offsets[1:], strict=False):
        whole[a : max(a, b - size + 1)] = True
    order = order[whole[order]]
    same = rank[order[1:]] == rank[order[:-1]]  # the common prefix of neighbours is `size` bytes or longer
    first, later = np.zeros_like(whole), np.zeros_like(whole)
    later[order[1:][same]] = True  # the sort is stable: of equal windows the first stands first
    first[order[:-1][same]] = True
    return first & ~later, later


def test_the_suffix_array_is_one() -> None:
    texts = ["abracadabra", "bracad", "aaaaaaaa", "bra"]
    first, later = windows_of_a_suffix_array(Texts.from_strings(texts), 4)
    wanted = {(d, p): kind for d, p, kind in oracle([text.encode() for text in texts], 4)}
    offsets = Texts.from_strings(texts).offsets.tolist()
    found = {}
    for d, text in enumerate(texts):
        for p in range(len(text)):
            if first[offsets[d] + p] or later[offsets[d] + p]:
                found[d, p] = FIRST if first[offsets[d] + p] else LATER
    assert found == wanted


def compare_with_a_suffix_array(texts: list[str], size: int) -> int:
    """Assert that windows and the bytes cut are the same: the number of windows found."""
    batch = Texts.from_strings(texts)
    first, later = windows_of_a_suffix_array(batch, size)
    spans = spans_of(batch, size)
    found = {kind: np.zeros(len(batch.data), dtype=np.int64) for kind in (FIRST, LATER)}
    for document, start, stop, kind in spans.tolist():
        at = int(batch.offsets[document])
        found[kind][at + start : at + stop - size + 1] += 1
    assert (found[FIRST] == first).all()
    assert (found[LATER] == later).all()
    return int(first.sum() + later.sum())


def planted(modules: Iterable[tuple[str, str]], most: int) -> list[str]:
    """Real text with pieces of it copied to other places, more than there are already."""
    rng = random.Random(11)  # noqa: S311
    texts = [text for _, text in modules]
    while sum(map(len, texts)) < most:
        text, other = rng.choice(texts), rng.choice(texts)
        a, b = rng.randrange(len(text)), rng.randrange(len(other))
        texts.append(text[a : a + rng.randrange(40, 40_000)] + other[b : b + rng.randrange(40, 40_000)])
    return texts


def test_spans_are_those_of_a_suffix_array(modules: list[tuple[str, str]]) -> None:
    texts = [text[:20_000] for _, text in modules[:40]]
    assert compare_with_a_suffix_array([*texts, *(text[500:9000] for text in texts[:9])], 80) > 70_000


@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 200])
def test_spans_are_those_of_a_suffix_array_on_12_megabytes(modules: list[tuple[str, str]], size: int) -> None:
    texts = planted(modules, 12_000_000)
    assert compare_with_a_suffix_array(texts, size) > 6_000_000


@pytest.mark.slow
@settings(max_examples=3000)
@given(texts=corpora, size=st.integers(2, 12), shared=st.booleans())
def test_windows_against_an_oracle_many_times(texts: list[str], size: int, shared: bool) -> None:
    spans = spans_of(Texts.from_strings(texts), size, shared=shared)
    assert windows_of(spans, size) == oracle([text.encode() for text in texts], size, shared=shared)


@pytest.mark.slow
@pytest.mark.parametrize("size", [200, 16_000])
def test_sixteen_megabytes(size: int) -> None:
    n = 1 << 24
    rng = random.Random(2)  # noqa: S311
    assert dedup(["a" * n], size) == ["a" * size]
    text = rng.randbytes(n // 2).hex()
    assert dedup([text], size) == [text]
    assert dedup([text[: n // 2], text[: n // 2]], size) == [text[: n // 2], ""]
    period = text[:1001]
    assert dedup([period * (n // 1001)], size) == [(period * (1 + size // 1001 + 1))[: 1001 + size - 1]]
