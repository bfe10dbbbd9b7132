from dataclasses import replace

import numpy as np
import pytest
import torch

from corpusmill.errors import ConfigError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import Model, ModelConfig
from corpusmill.trainer.data import Batch, build
from corpusmill.trainer.loss import logits_of, token_losses, z_penalty
from corpusmill.trainer.precision import autocast, computes_bf16, resolve

SMALL = ModelConfig(vocab_size=257, dim=32, layers=2, heads=4)


def small() -> Model:
    torch.manual_seed(5)
    model = Model(SMALL)
    with torch.no_grad():
        for weight in model.parameters():  # far from the near-zero start, so that a leak would show
            weight.add_(torch.randn_like(weight), alpha=0.2)
    return model


def mixed_batch(packed: Packed) -> Batch:
    """Rows with three documents or more."""
    rows = [row for row in range(len(packed)) if len(packed[row].segments) >= 3][:4]
    assert len(rows) == 4
    return build(packed, np.array(rows))


def test_a_document_never_sees_another(library: Packed) -> None:
    """TRL#1230, open-instruct#1448: changing one document changes no logit of the others in its row, nor in padding."""
    model, batch = small(), mixed_batch(library)
    with torch.no_grad():
        before = model(batch.tokens, batch.positions, batch.segments)
        for segment in (1, 2, int(batch.segments[0].max())):
            inside = batch.segments == segment
            tokens = torch.where(inside, (batch.tokens + 17) % SMALL.vocab_size, batch.tokens)
            after = model(tokens, batch.positions, batch.segments)
            assert torch.equal(before[~inside], after[~inside])
            assert not torch.allclose(before[inside], after[inside])


def test_without_segments_documents_do_leak(library: Packed) -> None:
    """The test above can fail: with the whole row as one segment the later documents change."""
    model, batch = small(), mixed_batch(library)
    one = torch.ones_like(batch.segments)
    with torch.no_grad():
        before = model(batch.tokens, batch.positions, one)
        inside = batch.segments == 1
        after = model(torch.where(inside, (batch.tokens + 17) % SMALL.vocab_size, batch.tokens), batch.positions, one)
    assert not torch.equal(before[batch.segments == 2], after[batch.segments == 2])


def test_a_document_gets_the_same_logits_alone_and_packed(library: Packed) -> None:
    model, batch = small(), mixed_batch(library)
    with torch.no_grad():
        packed = model(batch.tokens, batch.positions, batch.segments)[0]
        for segment in range(1, int(batch.segments[0].max()) + 1):
            inside = batch.segments[0] == segment
            tokens = batch.tokens[0, inside][None]
            alone = model(tokens, torch.arange(tokens.shape[1])[None], torch.ones_like(tokens))[0]
            torch.testing.assert_close(packed[inside], alone, rtol=1e-4, atol=1e-4)


def test_no_token_sees_a_later_one(library: Packed) -> None:
    model, batch = small(), build(library, [0])
    at = 50
    with torch.no_grad():
        before = model(batch.tokens, batch.positions, batch.segments)
        tokens = batch.tokens.clone()
        tokens[0, at] = (tokens[0, at] + 1) % SMALL.vocab_size
        after = model(tokens, batch.positions, batch.segments)
    assert torch.equal(before[0, :at], after[0, :at])
    assert not torch.equal(before[0, at], after[0, at])


def test_positions_count_only_as_distances() -> None:
    """Rotary positions: moving a whole segment changes nothing, stretching it does."""
    model, tokens = small(), torch.arange(20)[None]
    ones, places = torch.ones_like(tokens), torch.arange(20)[None]
    with torch.no_grad():
        here, moved = model(tokens, places, ones), model(tokens, places + 100, ones)
        stretched = model(tokens, places * 3, ones)
    torch.testing.assert_close(here, moved, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(here, stretched, atol=1e-2)


def test_the_loss_at_the_start_is_that_of_guessing(library: Packed) -> None:
    torch.manual_seed(0)
    batch = build(library, [0, 1, 2, 3])
    with torch.no_grad():
        losses = token_losses(Model(SMALL), batch)
    supervised = (batch.targets >= 0).flatten()
    assert float(losses[supervised].mean()) == pytest.approx(np.log(SMALL.vocab_size), abs=0.1)
    assert not losses[~supervised].any()


def test_parameter_count_by_hand() -> None:
    # hidden: 32 * 8 / 3 = 85.3, up to a multiple of 32 = 96
    block = 4 * 32 * 32 + 3 * 32 * 96 + 2 * 32
    assert Model(SMALL).parameter_count() == 257 * 32 + 2 * block + 32
    untied = Model(replace(SMALL, tied=False))
    assert untied.parameter_count() == 2 * 257 * 32 + 2 * block + 32
    assert untied.head.weight is not untied.embedding.weight


def test_normalised_queries_and_keys_bound_attention(library: Packed) -> None:
    """With qk_norm attention's logits do not grow with the weights; without they do."""
    torch.manual_seed(5)
    batch = build(library, [0, 1])
    for qk_norm in (True, False):
        model = Model(replace(SMALL, qk_norm=qk_norm))
        with torch.no_grad():
            before = model(batch.tokens, batch.positions, batch.segments)
            for block in model.blocks:
                block.qkv.weight[: 2 * SMALL.dim] *= 1000.0
            after = model(batch.tokens, batch.positions, batch.segments)
        assert torch.allclose(before, after, atol=1e-2) == qk_norm
    assert Model(replace(SMALL, qk_norm=True)).parameter_count() == Model(SMALL).parameter_count() + 2 * 2 * 8


def test_recomputing_changes_no_bit(library: Packed) -> None:
    batch = build(library, [0, 1, 2])
    gradients = []
    for recompute in (False, True):
        model = small()
        model.recompute = recompute
        calls: list[int] = []
        model.blocks[0].register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        token_losses(model, batch).sum().backward()
        assert len(calls) == (2 if recompute else 1), "the block is computed again only when asked"
        gradients.append([weight.grad for weight in model.parameters()])
    assert all(map(torch.equal, *gradients))


def test_bf16_is_near_fp32_and_the_loss_is_float32(library: Packed) -> None:
    model, batch = small(), build(library, [0, 1, 2])
    exact = token_losses(model, batch)
    with autocast("bf16", torch.device("cpu")):
        found = token_losses(model, batch)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact), "nothing was computed in bfloat16"
    assert float((found - exact).detach().abs().mean()) < 0.05
    found.sum().backward()
    assert {weight.grad.dtype for weight in model.parameters()} == {torch.float32}


def test_precision_is_resolved_by_device() -> None:
    cpu = torch.device("cpu")
    assert resolve("fp32", cpu) == "fp32"
    assert resolve("bf16", cpu) == "bf16"
    assert resolve("auto", cpu) == ("bf16" if computes_bf16(cpu) else "fp32")


def test_the_z_penalty_is_the_squared_log_of_the_denominator(library: Packed) -> None:
    model, batch = small(), build(library, [0, 1])
    with torch.no_grad():
        logits = logits_of(model, batch)
        supervised = (batch.targets >= 0).flatten()
        wanted = sum(float(row.double().exp().sum().log()) ** 2 for row in logits[supervised])
        assert float(z_penalty(logits, batch)) == pytest.approx(wanted, rel=1e-5)


def test_flops_by_hand() -> None:
    # 6 for each weight in a product; attention: 2 products of length * dim, once forward and twice backward
    weights = 257 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 96 + 2 * 32) + 32
    assert Model(SMALL).flops_per_token(128) == 6 * weights + 2 * 2 * 2 * 3 * 128 * 32
    assert Model(replace(SMALL, tied=False)).flops_per_token(128) == Model(SMALL).flops_per_token(128)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"dim": 0}, "dim"), ({"layers": 0}, "layers"), ({"heads": 0}, "heads"), ({"vocab_size": 0}, "vocab_size"),
     ({"dim": 36}, "multiple of 2")],
)  # fmt: skip
def test_shapes_that_cannot_be_built(change: dict[str, int], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        replace(SMALL, **change)
