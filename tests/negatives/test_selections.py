"""Selections of negatives: literal masks, counts, loops, laws of random draws, and what is refused."""

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
from framework.negatives.same_timestep import SameTimestep
from framework.negatives.top_k import TopK
from framework.negatives.uniform_subset import UniformSubset
from framework.negatives.window_excluded import WindowExcluded
from framework.negatives.within_cross_mixture import WithinCrossMixture
from framework.negatives.within_sequence import WithinSequence
from tests.tiny import contrast, key_of, normal, origin, seeded


def select(strategy, rows: int, times: int, seed: int = 0) -> Contrast:
    size = rows * times
    return strategy(contrast(normal(size, size, seed=seed), origin(rows, times)), key_of(seed))


def kept(strategy, rows: int, times: int, seed: int = 0) -> Tensor:
    return select(strategy, rows, times, seed).log_weights == 0


def written(mask: Tensor) -> list[str]:
    return ["".join(str(int(each)) for each in row) for row in mask]


LITERAL = {
    InBatch: ["111111"] * 6,
    RollingWindow: ["111111"] * 6,
    SameTimestep: ["100100", "010010", "001001", "100100", "010010", "001001"],
    WithinSequence: ["111000", "111000", "111000", "000111", "000111", "000111"],
    CrossSequence: ["100111", "010111", "001111", "111100", "111010", "111001"],
    EpisodeExcluded: ["100111", "010111", "001111", "111100", "111010", "111001"],
}


@pytest.mark.parametrize("strategy", LITERAL)
def test_the_mask_of_two_sequences_of_three_steps_whatever_the_scores(strategy):
    for seed in (0, 1):
        assert written(kept(strategy(), 2, 3, seed)) == LITERAL[strategy]


@pytest.mark.parametrize(
    ("strategy", "count"), [(InBatch, 35), (SameTimestep, 5), (WithinSequence, 7), (CrossSequence, 4 * 7 + 1), (WindowExcluded, 29)]
)
def test_the_number_of_candidates(strategy, count):
    assert (kept(strategy(), 5, 7).sum(dim=1) == count).all()


@pytest.mark.parametrize(("rows", "times", "steps"), [(4, 10, 2), (3, 7, 3), (2, 3, 8), (2, 3, 1)])
def test_the_excluded_window_equals_a_loop_over_pairs(rows, times, steps):
    mask = kept(WindowExcluded(steps=steps), rows, times)
    for i in range(rows * times):
        for j in range(rows * times):
            assert mask[i, j] == (i // times != j // times or i == j or abs(i % times - j % times) >= steps)


def test_an_episode_is_left_out_across_rows_inside_one_and_of_what_is_added():
    steps = Origin.of(torch.tensor([[7, 7, 8], [8, 8, 9]]))
    mask = EpisodeExcluded()(contrast(torch.zeros(6, 6), steps), key_of(0)).log_weights == 0
    assert written(mask) == ["101111", "011111", "111001", "110101", "110011", "111111"]
    anchors = Origin.of(torch.tensor([[7], [8]]))
    added = Contrast(torch.zeros(2, 5), torch.zeros(2, 5), anchors, anchors.followed_by(torch.tensor([7, 8, -1])))
    assert written(EpisodeExcluded()(added, key_of(0)).log_weights == 0) == ["11011", "11101"]


def test_the_default_window_of_the_paper_has_300_candidates():
    mask, own = kept(RollingWindow(), 50, 50), torch.arange(2500) // 50
    assert (mask.sum(dim=1) == 300).all()
    assert (mask.sum(dim=0) == 300).all()
    assert ((mask & (own[:, None] == own)).sum(dim=1) == 30).all()


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
    chosen = RollingWindow(rows=rows, times=times)(contrast(scores.T, origin(batch, length)), key_of(0))
    assert torch.allclose(contrastive.infonce_loss(chosen.scores, chosen.log_weights).reshape(batch, length), expected, atol=1e-4)
    ceiling = contrastive.log_candidates(chosen.log_weights)
    assert torch.allclose(ceiling, torch.full_like(ceiling, math.log(len(rolled))))


@pytest.mark.parametrize("window", [RollingWindow(rows=2, times=2), RollingWindow()])
def test_the_window_of_the_released_code_leaves_out_candidates_without_a_place(window):
    extended = select(InBatch(), 3, 4).append(torch.zeros(12, 5), torch.zeros(12, 5))
    assert window(extended, key_of(0)).log_weights[:, 12:].isneginf().all()


@pytest.mark.parametrize("candidates", [2, 5, 12])
def test_a_subset_has_as_many_candidates_as_are_bound(candidates):
    chosen = select(UniformSubset(candidates=candidates), 3, 4)
    assert (chosen.negative.sum(dim=1) == candidates - 1).all()
    assert (chosen.log_weights.diagonal() == 0).all()


def test_a_subset_of_a_selection_stays_inside_and_takes_all_where_there_are_fewer():
    assert torch.equal(kept(UniformSubset(candidates=7, of=WithinSequence), 3, 4), kept(WithinSequence(), 3, 4))
    few = kept(UniformSubset(candidates=3, of=CrossSequence), 3, 4)
    assert (few.sum(dim=1) == 3).all()
    assert not (few & ~kept(CrossSequence(), 3, 4)).any()


def test_the_estimate_grows_with_the_subset_towards_that_of_all():
    rho, generator, estimates = math.sqrt(1 - math.exp(-1.0)), seeded(3), {size: [] for size in (2, 4, 16, 64)}
    for number in range(20):
        x, noise = torch.randn(2, 64, 4, generator=generator)
        scores = gaussian_scores(x, rho * (rho * x + math.sqrt(1 - rho**2) * noise), torch.full_like(x, math.sqrt(1 - rho**2)))
        for size, values in estimates.items():
            chosen = UniformSubset(candidates=size)(contrast(scores, origin(8, 8)), key_of(number))
            values.append(contrastive.infonce_estimate(chosen.scores, chosen.log_weights).mean())
    means = [torch.stack(values).mean().item() for values in estimates.values()]
    assert means == sorted(means)
    assert means[0] < math.log(2)
    assert means[-1] < 2.0


@pytest.mark.parametrize(("share", "rate"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_mixture_takes_its_share_of_the_own_sequence_and_draws_each_of_a_group_equally_often(share, rate):
    rows, times, total = 30, 5, torch.zeros(30, 5, 30, 5)
    for seed in range(4):
        chosen = select(WithinCrossMixture(share=share, count=3), rows, times, seed)
        assert (chosen.negative.sum(dim=1) == 3).all()
        total += chosen.negative.reshape(rows, times, rows, times)
    draws, own = 4 * rows * times * 3, total.diagonal(dim1=0, dim2=2).sum(dim=-1)
    assert own.sum().item() / draws == pytest.approx(rate, abs=0.05)
    assert (own.diagonal() == 0).all()
    if rate:
        expected = own.sum() / (times * (times - 1))
        assert ((own + torch.diag(own.new_full((times,), expected)) - expected).abs() < 5 * expected.sqrt()).all()


def test_where_a_sequence_has_too_few_the_others_give_more():
    chosen = select(WithinCrossMixture(share=1.0, count=5), 3, 3)
    own = chosen.anchors.row[:, None] == chosen.candidates.row[None, :]
    assert ((chosen.negative & own).sum(dim=1) == 2).all()
    assert (chosen.negative.sum(dim=1) == 5).all()
    without = select(WithinCrossMixture(share=0.0, count=5, of=WithinSequence), 3, 6)
    assert (without.negative.sum(dim=1) == 5).all()


BANDS = [
    (TopK(count=4), range(7, 11)),
    (Ring(lower=0.0, upper=1.0), range(11)),
    (Ring(lower=0.5, upper=0.9), range(5, 10)),
    (Ring(lower=0.2, upper=0.21), range(2, 3)),
]


@pytest.mark.parametrize(("strategy", "places"), BANDS)
def test_the_hardest_and_the_ring_keep_a_band_of_the_ordered_scores(strategy, places):
    scores, chosen = normal(12, 12, seed=0), select(strategy, 3, 4)
    for i in range(12):
        ordered = sorted((j for j in range(12) if j != i), key=lambda j, i=i: scores[i, j].item())
        assert {*chosen.negative[i].nonzero().flatten().tolist()} == {ordered[place] for place in places}


def test_no_choice_of_as_many_estimates_less_than_the_hardest():
    hardest = select(TopK(count=4), 3, 4)
    least = contrastive.infonce_estimate(hardest.scores, hardest.log_weights)
    for seed in range(20):
        subset = UniformSubset(candidates=5)(contrast(normal(12, 12, seed=0), origin(3, 4)), key_of(seed))
        assert (least <= contrastive.infonce_estimate(subset.scores, subset.log_weights) + 1e-6).all()


def test_negatives_of_the_own_sequence_cannot_discriminate_what_is_constant_in_it():
    rows, times, size = 8, 8, 3
    label = torch.randn(rows, 1, size, generator=seeded(1)).expand(rows, times, size).reshape(rows * times, size)
    scores, estimates = 5 * label @ label.T - 2.5 * label.square().sum(dim=1), {}
    for strategy in (WithinSequence, CrossSequence):
        chosen = strategy()(contrast(scores, origin(rows, times)), key_of(0))
        estimates[strategy] = contrastive.infonce_estimate(chosen.scores, chosen.log_weights).mean().item()
    assert estimates[WithinSequence] == pytest.approx(0.0, abs=1e-4)
    assert estimates[CrossSequence] > 1.5


IMPOSSIBLE = {
    "RollingWindow.rows = 0": lambda: RollingWindow(rows=0),
    "WindowExcluded.steps = 0": lambda: WindowExcluded(steps=0),
    "UniformSubset.candidates = 1": lambda: UniformSubset(candidates=1),
    "UniformSubset.candidates = 13, and there are 12 candidates": lambda: select(UniformSubset(candidates=13), 3, 4),
    "WithinCrossMixture.share = 1.5": lambda: WithinCrossMixture(share=1.5),
    "WithinCrossMixture.count = 0": lambda: WithinCrossMixture(count=0),
    "WithinCrossMixture.count = 12, and there are 11 negatives": lambda: select(WithinCrossMixture(count=12), 3, 4),
    "TopK.count = 0": lambda: TopK(count=0),
    "TopK.count = 12, and there are 11 negatives": lambda: select(TopK(count=12), 3, 4),
    "Ring.lower = 0.9 and Ring.upper = 0.5": lambda: Ring(lower=0.9, upper=0.5),
    "Ring.lower = 0.5 and Ring.upper = 1.5": lambda: Ring(upper=1.5),
}


@pytest.mark.parametrize("message", IMPOSSIBLE)
def test_it_refuses(message):
    with pytest.raises(UserError, match=message):
        IMPOSSIBLE[message]()
