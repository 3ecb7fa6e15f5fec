"""Means over some of the elements, log-weights of masks, and masks of ranks."""

import pytest
import torch

from framework.functional.masking import masked, rank_mask
from framework.functional.random import uniform
from framework.testing.samples import key_of, normal, seeded


def test_the_mean_of_masked_values_is_that_of_the_kept_ones():
    values, kept = normal(4, 5), torch.rand(4, 5, generator=seeded(1)) > 0.5
    assert 0 < kept.sum() < 20
    assert torch.allclose(masked(values, kept).mean(), values[kept].mean())
    assert (masked(values, kept)[~kept] == 0).all()
    assert torch.equal(masked(values, torch.ones_like(kept)), values)
    assert masked(torch.tensor([1.0, torch.nan, 3.0]), torch.tensor([True, False, True])).mean() == 2.0


def test_values_of_which_none_is_kept_are_zero():
    assert torch.equal(masked(normal(2, 3), torch.zeros(2, 3, dtype=torch.bool)), torch.zeros(2, 3))
    assert masked(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)).shape == (2, 0)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (2, 5), (0, 0), (1, 40)])
def test_the_ranks_of_each_row_are_those_of_sorting(first, last):
    values, among = normal(9, 12), normal(9, 12, seed=1) > -0.3
    chosen = rank_mask(values, among, first=first, last=last, most=min(last, 12))
    for row in range(9):
        ordered = sorted(among[row].nonzero().flatten().tolist(), key=lambda column, row=row: -values[row, column].item())
        assert chosen[row].nonzero().flatten().tolist() == sorted(ordered[first:last])
    assert among.sum(dim=1).min() == 3


def test_the_places_may_differ_between_rows():
    last = torch.tensor([[0], [2], [5]])
    chosen = rank_mask(normal(3, 6), torch.ones(3, 6, dtype=torch.bool), last=last, most=5)
    assert chosen.sum(dim=1).tolist() == [0, 2, 5]


def test_the_highest_of_random_numbers_are_a_uniform_draw_without_replacement():
    rows, among = 6000, torch.tensor([True, True, False, True, True, True])
    chosen = rank_mask(uniform(key_of(3), rows, 6), among.expand(rows, 6), last=2, most=2)
    assert (chosen.sum(dim=1) == 2).all()
    pairs = (chosen.float().T @ chosen.float() / rows).fill_diagonal_(0.1)
    expected = torch.full((6, 6), 0.1).where(among[:, None] & among, 0.0)
    expected[2, 2] = 0.1
    assert torch.allclose(pairs, expected, atol=5 * (0.1 * 0.9 / rows) ** 0.5)
