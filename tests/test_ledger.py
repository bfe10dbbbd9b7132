"""The ledger finds one document lost, one doubled, and both at once."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill import ledger
from corpusmill.errors import LedgerError
from corpusmill.ledger import IN, KEPT, Tally, account, check_chain, ledger_json, run_tally

FATES = (ledger.KEPT, ledger.DROPPED, ledger.REMOVED, ledger.QUARANTINED)


def identity(n: int) -> int:
    return int.from_bytes(hashlib.md5(str(n).encode(), usedforsecurity=False).digest())


def tally_of(documents: list[tuple[int, str, int, str]]) -> Tally:
    tally = Tally()
    for n, source, size, fate in documents:
        tally.add(source, ledger.IN, documents=1, bytes=size, ids=identity(n))
        tally.add(source, fate, "why", documents=1, bytes=size, ids=identity(n))
    return tally


documents = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from("ab"), st.integers(0, 99), st.sampled_from(FATES)),
    min_size=2,
    max_size=30,
    unique_by=lambda document: document[0],
)


@given(documents)
def test_a_whole_account_balances_and_survives_json(rows: list[tuple[int, str, int, str]]) -> None:
    tally = tally_of(rows)
    tally.check("s")
    assert Tally.from_json(tally.to_json()).counts == tally.counts


@given(documents, st.data())
def test_one_lost_is_seen(rows: list[tuple[int, str, int, str]], data: st.DataObject) -> None:
    n, source, size, fate = data.draw(st.sampled_from(rows))
    tally = tally_of(rows)
    tally.add(source, fate, "why", documents=-1, bytes=-size, ids=-identity(n))
    with pytest.raises(LedgerError, match="ids"):
        tally.check("s")


@given(documents)
def test_one_lost_and_another_doubled_is_seen(rows: list[tuple[int, str, int, str]]) -> None:
    (n, source, size, fate), (other, _, _, _) = rows[0], rows[1]
    tally = tally_of(rows)
    tally.add(source, fate, "why", documents=-1, bytes=-size, ids=-identity(n))
    tally.add(source, fate, "why", documents=1, bytes=size, ids=identity(other))
    with pytest.raises(LedgerError):
        tally.check("s")


def test_edits_are_part_of_the_balance_of_bytes() -> None:
    tally = Tally()
    tally.add("a", ledger.IN, documents=1, bytes=10, ids=5)
    tally.add("a", ledger.KEPT, documents=1, bytes=7, ids=5)
    with pytest.raises(LedgerError):
        tally.check("s")
    tally.add("a", ledger.EDITED, "pii", documents=0, bytes=3)
    tally.check("s")


def test_stages_are_chained_and_summed() -> None:
    left = tally_of([(1, "a", 5, ledger.KEPT), (2, "a", 6, ledger.DROPPED)])
    right = tally_of([(1, "a", 5, ledger.REMOVED)])
    check_chain("right", right, left)
    whole = run_tally([left, right])
    whole.check("run")
    assert account(whole)["documents"] == {
        "in": 2,
        "kept": 0,
        "dropped": {"why": 1},
        "removed": {"why": 1},
        "quarantined": {},
        "skipped": {},
        "repaired": {},
        "failed": {},
    }
    with pytest.raises(LedgerError):
        check_chain("right", tally_of([(3, "a", 5, ledger.REMOVED)]), left)


def test_the_tokens_of_the_sources_are_told_and_must_add_up() -> None:
    tally = Tally()
    for source in ("a", "b"):
        tally.add(source, IN, documents=1, bytes=5, ids=3)
        tally.add(source, KEPT, documents=1, bytes=5, ids=3)
    held = {
        "a": {"in": 4, "packed": 6, "repeated": 2, "left_out": 0, "epochs": 1.5},
        "b": {"in": 5, "packed": 0, "repeated": 0, "left_out": 5, "epochs": 0.0},
    }
    whole = {"in": 9, "packed": 6, "repeated": 2, "left_out": 5, "padding": 1}
    body = ledger_json({"1-curate": tally}, {"ledger": whole, "sources": held})
    assert body["tokens"] == whole
    assert body["sources"]["a"]["tokens"] == {"in": 4, "packed": 6, "repeated": 2, "left_out": 0}
    with pytest.raises(LedgerError, match="tokens packed: 7"):
        ledger_json({"1-curate": tally}, {"ledger": {**whole, "packed": 7}, "sources": held})
    assert ledger_json({"1-curate": tally}, {})["sources"]["a"]["tokens"] == {}
