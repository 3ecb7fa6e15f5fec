"""Means over some of the elements, and what stands for the others."""

import pytest
import torch

from framework.functional.masking import between, log_mask, masked, only
from tests.tiny import normal, seeded


def test_its_mean_is_the_mean_of_what_is_kept():
    values, kept = normal(4, 5), torch.rand(4, 5, generator=seeded(1)) > 0.5
    assert 0 < kept.sum() < 20
    assert torch.allclose(masked(values, kept).mean(), values[kept].mean())
    assert (masked(values, kept)[~kept] == 0).all()
    assert torch.equal(masked(values, torch.ones_like(kept)), values)


def test_nothing_kept_is_nothing():
    assert torch.equal(masked(normal(2, 3), torch.zeros(2, 3, dtype=torch.bool)), torch.zeros(2, 3))
    assert masked(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)).shape == (2, 0)


def test_what_is_left_out_may_be_no_number():
    values = torch.tensor([1.0, torch.nan, 3.0])
    assert masked(values, torch.tensor([True, False, True])).mean() == 2.0


def test_between_two_places_stands_what_the_table_has_for_them():
    table, own, theirs = normal(3, 3) > 0, torch.tensor([2, 0, 1, 1]), torch.tensor([0, 2, 2, 1, 0])
    found = between(table, own, theirs)
    assert found.tolist() == [[bool(table[one, other]) for other in theirs] for one in own]


@pytest.mark.parametrize("otherwise", [0.0, -torch.inf, 3.5])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_only_what_is_kept_is_taken_bit_by_bit(kind, otherwise):
    values, kept = normal(4, 6).to(kind), normal(4, 6, seed=1) > 0
    values[0], values[:, 1] = torch.inf, torch.nan
    values[2, 2] = -0.0
    found = only(values, kept, otherwise)
    assert torch.equal(found.nan_to_num(7.0), values.where(kept, otherwise).nan_to_num(7.0))
    assert found.dtype == kind
    assert found.isnan().sum() == (kept[1:, 1].sum() + kept[0, 1])


def test_only_takes_integers_and_another_number_for_each_column():
    values, kept = torch.arange(12, dtype=torch.int32).reshape(3, 4) - (1 << 31), normal(3, 4) > 0
    other = torch.tensor([5, -7, 0, (1 << 31) - 1], dtype=torch.int32)
    assert torch.equal(only(values, kept, other), values.where(kept, other))
    assert 0 < kept.sum() < 12


def test_only_takes_no_gradient_and_leaves_what_it_was_given():
    values, kept = normal(3, 4).requires_grad_(), normal(3, 4, seed=1) > 0
    before = values.detach().clone()
    assert not only(values, kept, 0.0).requires_grad
    assert torch.equal(values, before)
    assert torch.equal(only(values.T, kept.T, 1.0), before.where(kept, 1.0).T)


def test_the_logarithm_of_a_mask_is_that():
    kept = normal(3, 4) > 0
    assert torch.equal(log_mask(kept), kept.float().log())
    assert torch.equal(log_mask(kept[:1].expand(3, 4)), kept[:1].float().log().expand(3, 4))
