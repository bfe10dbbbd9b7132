"""The `pii` edit on labelled text."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from corpusmill.filters.pii.pii import scrub

GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")


def personal(address: str) -> bool:
    """Whether the step is to find this IP address: a public one, and of version 6 only those that IANA gives out."""
    given = ipaddress.ip_address(address)
    return given.is_global and (given.version == 4 or given in GLOBAL_IPV6)


def test_presidio_spans(test_data: Path) -> None:
    """Recall counts what is personal: of the labelled IP addresses two are not global IPv6 and one is private IPv4."""
    hits, wrong, missed = 0, [], []
    for case in json.loads((test_data / "pii" / "presidio-generated.json").read_text("utf-8")):
        text = case["full_text"]
        got = {(start, stop) for start, stop, _ in scrub(text)[1]}
        want = {
            (span["start_position"], span["end_position"])
            for span in case["spans"]
            if span["entity_type"] in ("EMAIL_ADDRESS", "IP_ADDRESS")
        }
        hits += len(got & want)
        wrong += [text[a:b] for a, b in got - want]
        missed += [text[a:b] for a, b in want - got]
    assert hits >= 66
    assert not wrong
    assert not [address for address in missed if "@" in address or personal(address)]
