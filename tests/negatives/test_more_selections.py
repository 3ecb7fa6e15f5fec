"""The selections by window, by episode and by lot: literal masks, counts, and what a lot must be."""

import math

import pytest
import torch
from torch import Tensor

from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
from framework.critics.gaussian_critic import gaussian_scores
from framework.errors import UserError
from framework.functional import contrastive
from framework.negatives.cross_sequence import CrossSequence
from framework.negatives.episode_excluded import EpisodeExcluded
from framework.negatives.in_batch import InBatch
from framework.negatives.ring import Ring
from framework.negatives.rolling_window import RollingWindow
from framework.negatives.top_k import TopK
from framework.negatives.uniform_subset import UniformSubset
from framework.negatives.window_excluded import WindowExcluded
from framework.negatives.within_cross_mixture import WithinCrossMixture
from framework.negatives.within_sequence import WithinSequence
from tests.tiny import contrast, normal, origin, seed_of, seeded


def chosen_by(strategy, rows: int, times: int, seed: int = 0) -> Contrast:
    size = rows * times
    return strategy(contrast(normal(size, size, seed=seed), origin(rows, times)), seed_of(seed))


def written(kept: Tensor) -> list[str]:
    return ["".join(str(int(each)) for each in row) for row in kept]


def test_the_window_leaves_out_the_neighbors_in_time():
    found = chosen_by(WindowExcluded(steps=2), 2, 4).log_weights == 0
    assert written(found[:4]) == ["10111111", "01011111", "10101111", "11011111"]


@pytest.mark.parametrize(("rows", "times", "steps"), [(4, 10, 2), (3, 7, 3), (2, 3, 8), (2, 3, 1)])
def test_the_window_equals_a_loop_over_pairs(rows, times, steps):
    found = chosen_by(WindowExcluded(steps=steps), rows, times)
    for i in range(rows * times):
        for j in range(rows * times):
            expected = i // times != j // times or i == j or abs(i % times - j % times) >= steps
            assert (found.log_weights[i, j] == 0) == expected
    counts = (found.log_weights == 0).sum(dim=1)
    if (rows, times, steps) == (4, 10, 2):
        assert {*counts.tolist()} == {38, 39}
    assert torch.equal(contrastive.log_candidates(found.log_weights), counts.float().log())


def test_an_episode_is_left_out_across_rows_and_inside_one():
    steps = Origin.of(torch.tensor([[7, 7, 8], [8, 8, 9]]))
    found = EpisodeExcluded()(contrast(torch.zeros(6, 6), steps), seed_of(0)).log_weights == 0
    assert written(found) == ["101111", "011111", "111001", "110101", "110011", "111111"]


def test_an_episode_is_left_out_of_what_was_added_and_the_unknown_stays():
    steps = Origin.of(torch.tensor([[7], [8]])).followed_by(torch.tensor([7, 8, -1]))
    given = Contrast(torch.zeros(2, 5), torch.zeros(2, 5), Origin.of(torch.tensor([[7], [8]])), steps)
    assert written(EpisodeExcluded()(given, seed_of(0)).log_weights == 0) == ["11011", "11101"]


def test_the_window_of_the_released_code_knows_no_place_for_what_was_added():
    for window in (RollingWindow(rows=2, times=2), RollingWindow()):
        given = chosen_by(InBatch(), 3, 4).append(torch.zeros(12, 5), torch.zeros(12, 5))
        assert window(given, seed_of(0)).log_weights[:, 12:].isneginf().all()


@pytest.mark.parametrize("candidates", [2, 5, 12])
def test_a_subset_has_as_many_as_it_is_asked_for(candidates):
    found = chosen_by(UniformSubset(candidates=candidates), 3, 4).log_weights == 0
    assert (found.sum(dim=1) == candidates).all()


def test_a_subset_of_all_is_all_to_the_bit():
    subset, every = chosen_by(UniformSubset(candidates=12), 3, 4), chosen_by(InBatch(), 3, 4)
    assert torch.equal(subset.log_weights, every.log_weights)
    assert torch.equal(subset.scores, every.scores)


def test_a_subset_draws_every_negative_equally_often():
    total = torch.zeros(6, 6)
    for seed in range(400):
        total += chosen_by(UniformSubset(candidates=3), 2, 3, seed=seed).log_weights == 0
    assert torch.allclose(total.diagonal(), torch.tensor(400.0))
    others = total[~torch.eye(6, dtype=torch.bool)] / 400
    assert torch.allclose(others, torch.tensor(0.4), atol=5 * math.sqrt(0.4 * 0.6 / 400))


def test_a_subset_of_a_selection_stays_inside_and_takes_what_there_is():
    found = chosen_by(UniformSubset(candidates=7, of=WithinSequence), 3, 4).log_weights == 0
    assert torch.equal(found, chosen_by(WithinSequence(), 3, 4).log_weights == 0)
    few = chosen_by(UniformSubset(candidates=3, of=CrossSequence), 3, 4).log_weights == 0
    assert (few.sum(dim=1) == 3).all()
    assert not (few & ~(chosen_by(CrossSequence(), 3, 4).log_weights == 0)).any()


def test_the_estimate_grows_with_the_subset_towards_that_of_all():
    rho, generator, found = math.sqrt(1 - math.exp(-1.0)), seeded(3), {size: [] for size in (2, 4, 16, 64)}
    for number in range(40):
        x, noise = torch.randn(2, 64, 4, generator=generator)
        scores = gaussian_scores(x, rho * (rho * x + math.sqrt(1 - rho**2) * noise), torch.full_like(x, math.sqrt(1 - rho**2)))
        for size, estimates in found.items():
            chosen = UniformSubset(candidates=size)(contrast(scores, origin(8, 8)), seed_of(number))
            estimates.append(contrastive.infonce_estimate(chosen.scores, chosen.log_weights).mean())
    means = [torch.stack(each).mean().item() for each in found.values()]
    assert means == sorted(means)
    assert means[0] < math.log(2)
    assert means[-1] < 2.0


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0.0, 0.0), (0.5, 0.45, 0.55), (1.0, 1.0, 1.0)])
def test_a_mixture_takes_its_share_of_the_own_sequence(share, least, most):
    inside, strategy = [], WithinCrossMixture(share=share, count=5)
    for seed in range(40):
        found = chosen_by(strategy, 5, 8, seed=seed)
        assert (found.negative.sum(dim=1) == 5).all()
        own = found.anchors.row[:, None] == found.candidates.row[None, :]
        inside.append((found.negative & own).sum() / found.negative.sum())
    assert least <= torch.stack(inside).mean() <= most


def test_a_mixture_draws_each_negative_of_a_group_equally_often():
    total = torch.zeros(6, 6)
    for seed in range(600):
        total += chosen_by(WithinCrossMixture(share=0.5, count=1), 2, 3, seed=seed).negative
    share = total[0] / 600
    assert torch.allclose(share, torch.tensor([0, 1 / 4, 1 / 4, 1 / 6, 1 / 6, 1 / 6]), atol=0.07)


def test_where_a_sequence_has_too_few_the_others_give_more():
    found = chosen_by(WithinCrossMixture(share=1.0, count=5), 3, 3)
    own = found.anchors.row[:, None] == found.candidates.row[None, :]
    assert ((found.negative & own).sum(dim=1) == 2).all()
    assert (found.negative.sum(dim=1) == 5).all()
    without = chosen_by(WithinCrossMixture(share=0.0, count=5, of=WithinSequence), 3, 6)
    assert (without.negative.sum(dim=1) == 5).all()


def test_the_hardest_are_the_highest_of_a_loop():
    scores, found = normal(12, 12, seed=0), chosen_by(TopK(count=4), 3, 4)
    for i in range(12):
        highest = sorted((j for j in range(12) if j != i), key=lambda j, i=i: -scores[i, j].item())[:4]
        assert {*found.negative[i].nonzero().flatten().tolist()} == {*highest}


def test_no_choice_of_as_many_estimates_less_than_the_hardest():
    hardest = chosen_by(TopK(count=4), 3, 4)
    least = contrastive.infonce_estimate(hardest.scores, hardest.log_weights)
    for seed in range(20):
        lot = UniformSubset(candidates=5)(contrast(normal(12, 12, seed=0), origin(3, 4)), seed_of(seed))
        assert (least <= contrastive.infonce_estimate(lot.scores, lot.log_weights) + 1e-6).all()


@pytest.mark.parametrize(("lower", "upper", "places"), [(0.0, 1.0, range(11)), (0.5, 0.9, range(5, 10)), (0.2, 0.21, range(2, 3))])
def test_the_ring_keeps_a_band_of_the_ordered_scores(lower, upper, places):
    scores, found = normal(12, 12, seed=0), chosen_by(Ring(lower=lower, upper=upper), 3, 4)
    for i in range(12):
        ordered = sorted((j for j in range(12) if j != i), key=lambda j, i=i: scores[i, j].item())
        assert {*found.negative[i].nonzero().flatten().tolist()} == {ordered[place] for place in places}


IMPOSSIBLE = {
    "WindowExcluded.steps = 0": lambda: WindowExcluded(steps=0),
    "UniformSubset.candidates = 1": lambda: UniformSubset(candidates=1),
    "UniformSubset.candidates = 13, and there are 12 candidates": lambda: chosen_by(UniformSubset(candidates=13), 3, 4),
    "WithinCrossMixture.share = 1.5": lambda: WithinCrossMixture(share=1.5),
    "WithinCrossMixture.count = 0": lambda: WithinCrossMixture(count=0),
    "WithinCrossMixture.count = 12, and there are 11 negatives": lambda: chosen_by(WithinCrossMixture(count=12), 3, 4),
    "TopK.count = 0": lambda: TopK(count=0),
    "TopK.count = 12, and there are 11 negatives": lambda: chosen_by(TopK(count=12), 3, 4),
    "Ring.lower = 0.9 and Ring.upper = 0.5": lambda: Ring(lower=0.9, upper=0.5),
    "Ring.lower = 0.5 and Ring.upper = 1.5": lambda: Ring(upper=1.5),
}


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_it_refuses(message):
    with pytest.raises(UserError, match=message):
        IMPOSSIBLE[message]()
