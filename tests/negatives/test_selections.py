"""Selections of negatives: literal masks, counts, loops, laws of random draws, and what is refused."""

import pytest
import torch
from torch import Tensor

from framework.contrastive.contrast import Contrast
from framework.contrastive.origin import Origin
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
from framework.testing.samples import contrast, key_of, normal, origin


def select(strategy, rows: int, times: int, seed: int = 0) -> Contrast:
    size = rows * times
    return strategy(contrast(normal(size, size, seed=seed), origin(rows, times)), key_of(seed))


def kept(strategy, rows: int, times: int, seed: int = 0) -> Tensor:
    return select(strategy, rows, times, seed).log_weights == 0


def written(mask: Tensor) -> list[str]:
    return ["".join(str(int(each)) for each in row) for row in mask]


OWN, OTHERS = ["111000"] * 3 + ["000111"] * 3, ["100111", "010111", "001111", "111100", "111010", "111001"]
LITERAL = [
    (InBatch(), ["111111"] * 6),
    (RollingWindow(), ["111111"] * 6),
    (SameTimestep(), ["100100", "010010", "001001"] * 2),
    (WithinSequence(), OWN),
    (CrossSequence(), OTHERS),
    (EpisodeExcluded(), OTHERS),
    (WindowExcluded(steps=2), ["101111", "010111", "101111", "111101", "111010", "111101"]),
    (WindowExcluded(steps=1), ["111111"] * 6),
    (WindowExcluded(steps=8), OTHERS),
]


@pytest.mark.parametrize(("strategy", "mask"), LITERAL)
def test_the_mask_of_two_sequences_of_three_steps_whatever_the_scores(strategy, mask):
    assert [written(kept(strategy, 2, 3, seed)) for seed in (0, 1)] == [mask, mask]


def test_an_episode_is_left_out_across_rows_inside_one_and_of_what_is_added():
    steps = Origin.of(torch.tensor([[7, 7, 8], [8, 8, 9]]))
    mask = EpisodeExcluded()(contrast(torch.zeros(6, 6), steps), key_of(0)).log_weights == 0
    assert written(mask) == ["101111", "011111", "111001", "110101", "110011", "111111"]
    anchors = Origin.of(torch.tensor([[7], [8]]))
    added = Contrast(torch.zeros(2, 5), torch.zeros(2, 5), anchors, anchors.followed_by(torch.tensor([7, 8, -1])))
    assert written(EpisodeExcluded()(added, key_of(0)).log_weights == 0) == ["11011", "11101"]


def test_the_default_window_of_the_paper_has_300_candidates():
    mask, own = kept(RollingWindow(), 12, 40), torch.arange(480) // 40
    assert (mask.sum(dim=1) == 300).all()
    assert (mask.sum(dim=0) == 300).all()
    assert ((mask & (own[:, None] == own)).sum(dim=1) == 30).all()


@pytest.mark.parametrize("window", [RollingWindow(rows=2, times=2), RollingWindow()])
def test_the_window_of_the_released_code_leaves_out_candidates_without_a_place(window):
    extended = select(InBatch(), 3, 4).append(torch.zeros(12, 5), torch.zeros(12, 5))
    assert window(extended, key_of(0)).log_weights[:, 12:].isneginf().all()


def test_a_subset_of_a_selection_stays_inside_and_takes_all_where_there_are_fewer():
    assert torch.equal(kept(UniformSubset(candidates=7, of=WithinSequence), 3, 4), kept(WithinSequence(), 3, 4))
    few = kept(UniformSubset(candidates=3, of=CrossSequence), 3, 4)
    assert (few.sum(dim=1) == 3).all()
    assert few.diagonal().all()
    assert not (few & ~kept(CrossSequence(), 3, 4)).any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_mixture_takes_its_share_of_the_own_sequence_and_draws_each_of_a_group_equally_often(share):
    rows, times, total = 30, 5, torch.zeros(30, 5, 30, 5)
    for seed in range(4):
        chosen = select(WithinCrossMixture(share=share, count=3), rows, times, seed)
        assert (chosen.negative.sum(dim=1) == 3).all()
        total += chosen.negative.reshape(rows, times, rows, times)
    draws, own = 4 * rows * times * 3, total.diagonal(dim1=0, dim2=2).sum(dim=-1)
    assert own.sum().item() / draws == pytest.approx(share, abs=0.05)
    assert (own.diagonal() == 0).all()
    if share:
        expected = own.sum() / (times * (times - 1))
        assert ((own + torch.diag(own.new_full((times,), expected)) - expected).abs() < 5 * expected.sqrt()).all()


def test_where_a_sequence_has_too_few_the_others_give_more():
    chosen = select(WithinCrossMixture(share=1.0, count=5), 3, 3)
    own = chosen.anchors.row[:, None] == chosen.candidates.row[None, :]
    assert ((chosen.negative & own).sum(dim=1) == 2).all()
    assert (chosen.negative.sum(dim=1) == 5).all()


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
