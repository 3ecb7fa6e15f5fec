"""What strategies draw in blocks follows the laws of what they draw for all anchors at once."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from framework.contrastive.pairs import blocks_of
from framework.data import Latent
from tests.members import build, factory
from tests.objectives.pairs import SETTLED, chosen, pairs_of
from tests.tiny import DYNAMICS, seed_of

TIMES, SIZE, MOST, DRAWS = 6, 12, 14, 40


@pytest.mark.parametrize("name", sorted(SETTLED))
def test_the_first_block_draws_what_the_whole_draws(name):
    """So that pictures and diagnostics show what training sees."""
    strategy, (pairs, whole) = build("negatives", name), pairs_of(2, TIMES)
    first, all_ = chosen(strategy, pairs, 3, MOST)[0], strategy(whole, DYNAMICS, seed_of(3))
    assert torch.allclose(first.scores, all_.scores[:4], atol=1e-5)
    assert torch.equal(first.log_weights, all_.log_weights[:4])


@pytest.mark.parametrize("name", sorted(SETTLED))
def test_no_two_blocks_draw_alike(name):
    """Blocks of the same latents, embeddings and actions."""
    strategy, (pairs, _) = build("negatives", name), pairs_of(2, TIMES)
    seeds = []
    found = chosen(lambda contrast, seed: seeds.append(seed) or strategy(contrast, seed), pairs, 3, MOST)
    assert len({int(seed) for seed in seeds}) == len(found) == 3
    same = pairs.block("row", slice(0, 4))
    drawn = [strategy(same, seed) for seed in seeds]
    assert not any(
        torch.equal(one.scores, other.scores) and torch.equal(one.log_weights, other.log_weights) for one, other in pairwise(drawn)
    )


@pytest.mark.parametrize(("name", "settings"), [("UniformSubset", {"candidates": 4}), ("Mixed", {"count": 4, "share": 0.5})])
@pytest.mark.parametrize("inner", ["InBatch", "WithinSequence"])
def test_selections_have_the_positive_as_many_others_and_each_as_often(name, settings, inner):
    """Frequencies by how many steps a candidate comes after its anchor, in the order of the batch and around its end."""
    strategy, (pairs, whole) = build("negatives", name, **settings, of=factory("negatives", inner)), pairs_of(2, TIMES)
    ours, theirs = torch.zeros(SIZE, SIZE), torch.zeros(SIZE, SIZE)
    for seed in range(DRAWS):
        blocks = zip(blocks_of(SIZE, MOST), chosen(strategy, pairs, seed, MOST), strict=True)
        kept = torch.cat([(block.log_weights == 0).roll(rows.start, dims=1) for rows, block in blocks])
        at_once = strategy(whole, DYNAMICS, seed_of(seed)).log_weights == 0
        assert kept.diagonal().all()
        assert torch.equal(kept.sum(dim=1), at_once.sum(dim=1))
        ours, theirs = ours + kept, theirs + at_once
    assert torch.equal(ours > 0, theirs > 0)
    apart = (after(ours - theirs) / (SIZE * DRAWS)).abs()
    assert 0 < apart.max() < 5 * (2 * 0.25 / (SIZE * DRAWS)) ** 0.5, "five deviations of the difference of two shares"


def after(counts: Tensor) -> Tensor:
    return torch.stack([row.roll(-place) for place, row in enumerate(counts)]).sum(dim=0)


def test_other_actions_are_those_of_any_other_step():
    """Every step's action is its number; what it leads to is scored by that, and by the number of the step where it is taken."""

    def predict(action, steps):
        return Latent(deterministic=(TIMES * steps.row + steps.time)[:, None].float(), stochastic=action, statistics={})

    def score(latents, _):
        return latents.features @ torch.tensor([1.0, 100.0])

    strategy, reached = build("negatives", "ActionNegatives", count=10), torch.zeros(SIZE, SIZE)
    pairs, _ = pairs_of(2, TIMES, action=torch.arange(float(SIZE))[:, None], predict=predict, score_pairs=score)
    for seed in range(20):
        for rows, block in zip(blocks_of(SIZE, MOST), chosen(strategy, pairs, seed, MOST), strict=True):
            numbers = block.scores[:, SIZE:].round().long()
            assert torch.equal(numbers // 100, torch.arange(rows.start, rows.stop)[:, None].expand(-1, 10))
            reached[rows] += torch.nn.functional.one_hot(numbers % 100, SIZE).sum(dim=1)
    assert torch.equal(reached > 0, ~torch.eye(SIZE, dtype=torch.bool))


def test_other_actions_of_first_steps_are_none_in_every_block():
    is_first = torch.arange(SIZE) % TIMES == 0
    pairs, _ = pairs_of(2, TIMES, is_first=is_first)
    weights = [block.log_weights[:, SIZE:] for block in chosen(build("negatives", "ActionNegatives", count=30), pairs, 0, MOST)]
    left_out = torch.cat(weights).isneginf()
    assert left_out[is_first].all()
    assert 0 < left_out[~is_first].float().mean() < 0.5


def test_mixtures_are_of_the_hardest_of_all_candidates():
    """Mixed with itself the hardest is the hardest."""
    strategy, (pairs, whole) = build("negatives", "MoCHi", hardest=1, with_anchor=0, mixed=2), pairs_of(2, TIMES)
    hardest = whole.scores.masked_fill(whole.positive, -torch.inf).amax(dim=1, keepdim=True)
    found = torch.cat([block.scores[:, SIZE:] for block in chosen(strategy, pairs, 0, MOST)])
    assert torch.allclose(found, hardest.expand(-1, 2), atol=1e-4)
