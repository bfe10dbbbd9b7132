"""What each rule did: how many documents reached it, how many failed it, and whether it does what a rule should."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from corpusmill.ledger import DROPPED, FAILED, IN, QUARANTINED
from corpusmill.pipeline.report.facts import Facts, StageFact
from corpusmill.rules import Rule

TOO_MUCH = 0.9
"""A rule that fails a larger share of what reaches it is named."""


@dataclass(frozen=True)
class RuleAccount:
    """One rule in one stage.

    step     the filter it belongs to; empty when the recipe's step can't be built here
    wanted   what it asks for; empty when the recipe's step can't be built here
    reached  documents it was evaluated on; None when that can't be known
    failed   documents that failed it
    first    documents for which it was the first to fail: those the ledger counts under its name
    """

    stage: str
    step: str
    name: str
    wanted: str
    reached: int | None
    failed: int
    first: int

    @property
    def fails_most(self) -> bool:
        """More than TOO_MUCH of the documents that reached it failed it."""
        return self.reached is not None and self.failed > TOO_MUCH * self.reached

    @property
    def fails_none(self) -> bool:
        """Documents reached it, and not one failed."""
        return bool(self.reached) and self.failed == 0


def rule_accounts(facts: Facts) -> list[RuleAccount]:
    """Every rule of the recipe in order, then rules that only the ledger knows."""
    measure_all = bool(facts.recipe.get("measure_all", False))
    return [account for stage in facts.stages for account in _of_stage(stage, measure_all)]


def _of_stage(stage: StageFact, measure_all: bool) -> Iterator[RuleAccount]:
    documents = stage.account["documents"]
    failed, dropped = documents.get(FAILED, {}), documents[DROPPED]
    reached: int | None = documents[IN] - sum(documents[QUARANTINED].values())
    seen = set()
    for fact in stage.steps:
        if fact.step is None:
            reached = None  # what this step dropped can't be told apart, so what reached the next is not known
        for rule in _rules(fact.step):
            seen.add(rule.name)
            counts = failed.get(rule.name, 0), dropped.get(rule.name, 0)
            yield RuleAccount(stage.name, fact.use, rule.name, _wanted(rule), reached, *counts)
        if reached is not None and not measure_all:
            reached -= sum(dropped.get(rule.name, 0) for rule in _rules(fact.step))
    for name in sorted({*failed, *dropped} - seen):
        yield RuleAccount(stage.name, "", name, "", None, failed.get(name, 0), dropped.get(name, 0))


def _rules(step: object) -> tuple[Rule, ...]:
    rules = getattr(step, "rules", None)
    return tuple(rules()) if callable(rules) else ()


def wanted_bound(rule: Rule) -> str:
    """The comparison and its bound as a reader writes them: `≥ 50`, `in en, de`, `is false`."""
    sign = {">=": "≥", "<=": "≤", "==": "="}.get(rule.comparison, rule.comparison)
    if rule.by is not None:
        return f"{sign} its bound by {rule.by}"
    if isinstance(rule.bound, tuple):
        return f"in {', '.join(rule.bound)}"
    if isinstance(rule.bound, bool):
        return f"{'is' if rule.comparison == '==' else rule.comparison} {str(rule.bound).lower()}"
    return f"{sign} {rule.bound:,}" if isinstance(rule.bound, (int, float)) else f"{sign} {rule.bound}"


def _wanted(rule: Rule) -> str:
    return f"{rule.signal.rpartition('.')[2]} {wanted_bound(rule)}"


def most_frequent(counts: Mapping[str, int], limit: int) -> tuple[list[tuple[str, int]], int, int]:
    """The `limit` largest of `counts`, the largest first; how many are left out, and their sum."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = order[limit:]
    return order[:limit], len(rest), sum(number for _, number in rest)
