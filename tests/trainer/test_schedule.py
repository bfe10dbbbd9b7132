import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.tokenize.shards.order import State
from corpusmill.trainer import TrainConfig
from corpusmill.trainer.schedule import Place, Schedule

LENGTH = 10


def plain(config: TrainConfig, rows: int, most: int = 10_000) -> list[Place]:
    """Step by step."""
    places: list[Place] = []
    epoch, row, read = config.first_epoch, 0, 0
    while len(places) < most:
        if config.tokens is None and len(places) == config.steps:
            break
        if config.tokens is not None and read >= config.tokens:
            break
        wanted = config.batch_rows
        for tokens, size in config.batch_ramp:
            if read >= tokens:
                wanted = size
        size = min(wanted, rows - row)
        places.append(Place(len(places) + 1, epoch, row, size))
        row, read = row + size, read + size * LENGTH
        if row == rows:
            epoch, row = epoch + 1, 0
    return places


RAMPS = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 9)), max_size=4, unique_by=lambda pair: pair[0]).map(
    lambda pairs: tuple(sorted(pairs))
)


@given(
    steps=st.integers(1, 60), tokens=st.none() | st.integers(1, 2000), batch_rows=st.integers(1, 9), ramp=RAMPS,
    rows=st.integers(1, 40), first_epoch=st.integers(0, 2), start=st.integers(1, 70),
)  # fmt: skip
def test_places_are_what_walking_step_by_step_gives(
    steps: int, tokens: int | None, batch_rows: int, ramp: tuple, rows: int, first_epoch: int, start: int
) -> None:
    config = TrainConfig(
        steps=steps, tokens=tokens, batch_rows=batch_rows, batch_ramp=ramp, first_epoch=first_epoch
    )  # fmt: skip
    schedule = Schedule(config, rows, LENGTH)
    wanted = plain(config, rows)
    assert schedule.steps == len(wanted)
    assert list(schedule.places()) == wanted
    assert list(schedule.places(start)) == wanted[start - 1 :], "going on from any step gives the rest"
    state = State(first_epoch, 0)
    for place in wanted:
        assert state == State(place.epoch, place.row), "a step is left out or done twice"
        state = schedule.state_after(place)


def test_a_ramp_by_hand() -> None:
    config = TrainConfig(tokens=1000, batch_ramp=((0, 2), (200, 5)))
    sizes = [place.rows for place in Schedule(config, 10**6, LENGTH).places()]
    assert sizes == [2] * 10 + [5] * 16, "10 steps of 20 tokens, then of 50 up to 1000"


def test_a_long_run_is_arithmetic() -> None:
    """A trillion tokens: the stretches are counted, not the steps."""
    config = TrainConfig(tokens=10**12, batch_rows=1000, batch_ramp=((10**9, 2000),))
    schedule = Schedule(config, 10**8, 2048)
    assert schedule.steps == pytest.approx(10**9 / 2048e3 + 0.999e12 / 4096e3, rel=1e-3)
    assert next(schedule.places(schedule.steps)).step == schedule.steps


def rates(config: TrainConfig) -> list[float]:
    schedule = Schedule(config, 1000, LENGTH)
    return [schedule.rate(step) for step in range(1, schedule.steps + 1)]


def test_the_rate_warms_up_and_falls_to_a_tenth() -> None:
    found = rates(TrainConfig(steps=110, warmup_steps=10, learning_rate=1.0))
    assert [found[step - 1] for step in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert found[59] == pytest.approx(0.1 + 0.9 / 2)
    assert found[109] == pytest.approx(0.1)
    assert found[9:] == sorted(found[9:], reverse=True)
    assert rates(TrainConfig(steps=3, warmup_steps=10))[::2] == pytest.approx([3e-4, 9e-4])
    assert rates(TrainConfig(steps=1, warmup_steps=0)) == pytest.approx([3e-4])
    assert all(math.isfinite(rate) for rate in rates(TrainConfig(steps=10, warmup_steps=10)))


def test_wsd_is_level_and_then_falls_in_a_line() -> None:
    config = TrainConfig(
        steps=100, warmup_steps=10, learning_rate=1.0, schedule="wsd", decay_ratio=0.2, min_lr_ratio=0.0
    )
    found = rates(config)
    assert found[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert set(found[9:80]) == {1.0}
    assert found[80:] == pytest.approx([1 - step / 20 for step in range(1, 21)])
    assert rates(replace(config, min_lr_ratio=0.1))[-1] == pytest.approx(0.1)
    assert all(math.isfinite(rate) for rate in rates(replace(config, decay_ratio=0.0)))


def test_the_ramp_does_not_touch_the_rate() -> None:
    """With the same number of steps."""
    config = TrainConfig(steps=30)
    assert rates(config) == rates(replace(config, batch_ramp=((50, 9), (100, 3))))
