"""The masks themselves: literal ones for two sequences of three steps, counts, and the released code's window."""

import math

import pytest
import torch

from framework.errors import UserError
from framework.functional import contrastive
from framework.negatives.rolling_window import RollingWindow
from framework.registry import registry_of
from tests.tiny import contrast, normal, origin, seed_of, seeded

SELECTIONS = ["CrossSequence", "InBatch", "RollingWindow", "SameTimestep", "WithinSequence"]
LITERAL = {
    "InBatch": ["111111"] * 6,
    "RollingWindow": ["111111"] * 6,
    "SameTimestep": ["100100", "010010", "001001", "100100", "010010", "001001"],
    "WithinSequence": ["111000", "111000", "111000", "000111", "000111", "000111"],
    "CrossSequence": ["100111", "010111", "001111", "111100", "111010", "111001"],
}


def kept(strategy, rows: int, times: int) -> torch.Tensor:
    given = contrast(torch.zeros(rows * times, rows * times), origin(rows, times))
    return strategy(given, seed_of(0)).log_weights == 0


@pytest.mark.parametrize("name", SELECTIONS)
def test_the_mask_of_two_sequences_of_three_steps(name):
    found = kept(registry_of("negatives").get(name)(), 2, 3)
    assert ["".join(str(int(each)) for each in row) for row in found] == LITERAL[name]


@pytest.mark.parametrize(("name", "count"), [("InBatch", 35), ("SameTimestep", 5), ("WithinSequence", 7), ("CrossSequence", 4 * 7 + 1)])
def test_the_number_of_candidates(name, count):
    found = kept(registry_of("negatives").get(name)(), 5, 7).sum(dim=1)
    assert (found == count).all()


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_depends_on_origins_alone(name):
    strategy, steps = registry_of("negatives").get(name)(), origin(3, 4)
    masks = [strategy(contrast(normal(12, 12, seed=seed), steps), seed_of(0)).log_weights for seed in (1, 2)]
    assert torch.equal(*masks)


def test_the_default_window_of_the_paper_has_300_candidates():
    found = kept(RollingWindow(), 50, 50)
    own = torch.arange(2500) // 50
    assert (found.sum(dim=1) == 300).all()
    assert (found.sum(dim=0) == 300).all()
    assert ((found & (own[:, None] == own)).sum(dim=1) == 30).all()


@pytest.mark.parametrize(("rows", "times"), [(4, 6), (2, 5), (3, 3), (10, 30)])
def test_the_window_is_the_released_codes_stack_of_rolled_copies(rows, times):
    """Fixed observation, sum over latents: `log q(f_i|o_i) - log sum_r q(roll(f, r)_i|o_i)`, by literal rolls."""
    batch, length = 7, 9
    scores = normal(batch * length, batch * length, seed=3)
    of_observation = scores.T.reshape(batch, length, batch, length)
    b, t = torch.meshgrid(torch.arange(batch), torch.arange(length), indexing="ij")
    rolled = []
    for shift_row in range(*((-(rows // 2), -(rows // 2) + rows) if rows < batch else (0, batch))):
        for shift_time in range(*((-(times // 2), -(times // 2) + times) if times < length else (0, length))):
            latent_row = torch.arange(batch).roll(shift_row)[:, None].expand(batch, length)
            latent_time = torch.arange(length).roll(shift_time)[None].expand(batch, length)
            rolled.append(of_observation[b, t, latent_row, latent_time])
    expected = torch.logsumexp(torch.stack(rolled), dim=0) - of_observation[b, t, b, t]
    chosen = RollingWindow(rows=rows, times=times)(contrast(scores.T, origin(batch, length)), seed_of(0))
    loss = contrastive.infonce_loss(chosen.scores, chosen.log_weights)
    assert torch.allclose(loss.reshape(batch, length), expected, atol=1e-4)
    ceiling = contrastive.log_candidates(chosen.log_weights)
    assert torch.allclose(ceiling, torch.full_like(ceiling, math.log(len(rolled))))


def test_a_window_of_nothing_is_refused():
    with pytest.raises(UserError, match=r"RollingWindow.rows = 0"):
        RollingWindow(rows=0)


def test_what_is_constant_in_a_sequence_is_seen_across_and_not_within():
    """A slow part that labels the sequence earns nothing against negatives of the same sequence."""
    rows, times, size = 8, 8, 3
    steps = origin(rows, times)
    label = torch.randn(rows, 1, size, generator=seeded(1)).expand(rows, times, size).reshape(rows * times, size)
    scores = 5 * label @ label.T - 2.5 * label.square().sum(dim=1)
    estimates = {}
    for name in ("WithinSequence", "CrossSequence"):
        chosen = registry_of("negatives").get(name)()(contrast(scores, steps), seed_of(0))
        estimates[name] = contrastive.infonce_estimate(chosen.scores, chosen.log_weights).mean().item()
    assert estimates["WithinSequence"] == pytest.approx(0.0, abs=1e-4)
    assert estimates["CrossSequence"] > 1.5
