"""Means over some of the elements."""

import torch

from framework.functional.masking import between, masked
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
