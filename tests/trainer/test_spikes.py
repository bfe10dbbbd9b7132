import math
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import CorpusmillError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import train
from corpusmill.trainer.learner import Learner, Record
from corpusmill.trainer.spikes import Spikes

from .runs import TINY, same, saved


def verdicts(losses: list[float], norms: list[float], sigma: float | None, window: int) -> list[float]:
    spikes = Spikes(sigma, window, torch.device("cpu"))
    return [
        float(spikes.judge(torch.tensor(loss, dtype=torch.float64), torch.tensor(norm, dtype=torch.float64)))
        for loss, norm in zip(losses, norms, strict=True)
    ]


def oracle(losses: list[float], norms: list[float], sigma: float | None, window: int) -> list[float]:
    """The rule in plain Python."""
    kept: list[tuple[float, float]] = []
    found = []
    for pair in zip(losses, norms, strict=True):
        finite = all(map(math.isfinite, pair))
        skip = not finite
        last = kept[-window:]
        if finite and sigma is not None and len(last) + 1 >= max(20, window // 2):
            for at in (0, 1):
                values = [each[at] for each in last]
                skip |= pair[at] - statistics.fmean(values) > sigma * statistics.stdev(values)
        found.append(float(skip))
        if finite:
            kept.append(pair)
    return found


NUMBERS = st.integers(0, 6).map(float) | st.sampled_from([50.0, 1000.0, math.inf, math.nan])


@given(
    pairs=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=90), sigma=st.none() | st.sampled_from([2.5, 6.5]),
    window=st.sampled_from([2, 20, 41, 64]),
)  # fmt: skip
def test_the_rule_is_that_of_plain_python(pairs: list[tuple[float, float]], sigma: float | None, window: int) -> None:
    losses, norms = [loss for loss, _ in pairs], [norm for _, norm in pairs]
    assert verdicts(losses, norms, sigma, window) == oracle(losses, norms, sigma, window)


@pytest.mark.parametrize("which", [0, 1])
def test_a_spike_of_either_is_left_out_and_falling_is_not(which: int) -> None:
    calm = [3.0 + 0.01 * (at % 5) for at in range(70)]
    for last, skipped in ((3.5, 1.0), (3.06, 0.0), (1.0, 0.0), (math.nan, 1.0), (math.inf, 1.0)):
        pair = [[*calm, 3.0], [*calm, 3.0]]
        pair[which][-1] = last
        assert verdicts(*pair, 6.0, 128)[-1] == skipped, last
        assert not any(verdicts(*pair, 6.0, 128)[:-1])


def test_too_few_steps_decide_nothing() -> None:
    calm = [3.0 + 0.01 * (at % 5) for at in range(62)]
    assert verdicts([*calm, 9.0], [*calm, 9.0], 6.0, 128)[-1] == 0.0
    assert verdicts([*calm, 3.0, 9.0], [*calm, 3.0, 9.0], 6.0, 128)[-1] == 1.0, "with this one they are 64"


def test_a_new_level_is_accepted_after_a_while() -> None:
    """Skipped losses count, too: else a model could never leave a level."""
    calm = [3.0 + 0.01 * (at % 5) for at in range(64)]
    found = verdicts([*calm, *[5.0] * 40], [1.0] * 104, 6.0, 64)
    assert found[64] == 1.0
    assert found[-1] == 0.0


def test_without_sigma_only_what_is_no_number_is_left_out() -> None:
    assert verdicts([1.0] * 80 + [1e9, math.nan], [1.0] * 81 + [1.0], None, 64)[-2:] == [0.0, 1.0]


def spike_at(step: int, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Multiply the gradient of one step."""
    real = Learner.gradients

    def gradients(self: Learner, place):
        found = real(self, place)
        if place.step == step:
            for weight in self.model.parameters():
                weight.grad *= factor
            if math.isnan(factor):
                found[0].fill_(factor)
        return found

    monkeypatch.setattr(Learner, "gradients", gradients)


@pytest.mark.parametrize("factor", [1e4, float("nan")])
def test_a_spike_is_left_out_and_logged_with_its_rows(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    config = replace(TINY, steps=30, batch_rows=2, skip_sigma=6.0, skip_window=20, checkpoint_every=1)
    spike_at(25, monkeypatch, factor)
    before: dict[int, dict] = {}

    def on_step(record: Record) -> None:
        if 24 < record["step"] < 27:
            before[record["step"]] = saved(tmp_path)  # the checkpoint of the step before

    history = train(library, tmp_path, config, on_step)
    assert same(before[25]["model"], before[26]["model"]), "the weights of the spike's step moved"
    assert same(before[25]["optimizer"], before[26]["optimizer"]), "the moments or the count of steps moved"
    assert not same(before[26]["model"], saved(tmp_path)["model"])
    [skipped] = [skipped for record in history.records for skipped in record["skipped"]]
    assert skipped["step"] == 25
    assert [[skipped["epoch"], skipped["row"], skipped["row"] + skipped["rows"]]] == history.records[24]["places"]
    assert skipped["grad_norm"] == ("nan" if math.isnan(factor) else pytest.approx(1e4, rel=10))
    assert (history.records[24]["loss"] is None) == math.isnan(factor), "what is no number got into a mean"
    assert history.records[-1]["loss"] < history.records[0]["loss"]


def test_a_spike_goes_through_where_nobody_asked(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spike_at(25, monkeypatch, 1e4)
    history = train(library, tmp_path, replace(TINY, steps=26, batch_rows=2))
    assert history.records[24]["grad_norm"] > 100
    assert all(record["skipped"] == [] for record in history.records)


def test_what_is_no_number_never_reaches_a_checkpoint(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a log every 100 steps the run ends at the next checkpoint at the latest, whose weights nobody keeps."""
    spike_at(6, monkeypatch, float("nan"))
    with pytest.raises(
        CorpusmillError, match=r"step 6: the loss is nan, the gradient's norm is nan; places 30 to 35 of epoch 0"
    ):
        train(library, tmp_path, replace(TINY, log_every=100))
    assert [path.name for path in tmp_path.glob("*.pt")] == ["checkpoint-00000004.pt"]


def test_a_run_that_only_spikes_ends(library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpusmill.trainer.spikes.Spikes.judge", lambda *_: torch.ones(()))
    with pytest.raises(CorpusmillError, match="the last 4 steps were all left out"):
        train(library, tmp_path, replace(TINY, skip_sigma=6.0, skip_window=4))


def test_a_loss_that_is_no_number_stops_the_run(library: Packed, tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match=r"step \d+: the loss is .*, the gradient's norm is (nan|inf)"):
        train(library, tmp_path, replace(TINY, steps=40, learning_rate=1e30, warmup_steps=0, clip_norm=None))
