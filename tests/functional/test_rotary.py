"""Rotary positions: laws, and complex numbers as the reference."""

import torch

from framework.functional.rotary import rotate, rotations
from tests.tiny import normal

HERE = torch.device("cpu")


def test_a_product_knows_how_far_apart_two_places_are_and_no_more():
    turn = rotations(12, 6, HERE)
    query, key = (rotate(normal(6, seed=seed).expand(12, 6), turn) for seed in (1, 2))
    products = query @ key.T
    for distance in range(12):
        found = products.diagonal(distance)
        assert torch.allclose(found, found[:1].expand_as(found), atol=1e-5)
    assert not torch.allclose(products[0, 0], products[0, 1])
    assert not torch.allclose(products[0, 1], products[1, 0])


def test_lengths_and_the_first_place_stay_as_they_are():
    values = normal(3, 5, 8)
    found = rotate(values, rotations(5, 8, HERE))
    assert torch.allclose(found.norm(dim=-1), values.norm(dim=-1), atol=1e-5)
    assert torch.equal(found[:, 0], values[:, 0])
    assert not torch.allclose(found[:, 1], values[:, 1])


def test_it_is_a_multiplication_by_complex_numbers_of_length_one():
    values = normal(7, 4)
    pairs = torch.complex(values[:, :2], values[:, 2:])
    for place in range(7):
        turned = pairs[place] * torch.exp(1j * place * torch.tensor([1.0, 10_000.0**-0.5]))
        expected = torch.cat([turned.real, turned.imag])
        assert torch.allclose(rotate(values, rotations(7, 4, HERE))[place], expected, atol=1e-6)


def test_it_keeps_the_precision_that_it_is_given():
    assert rotate(normal(2, 4).bfloat16(), rotations(2, 4, HERE)).dtype == torch.bfloat16
