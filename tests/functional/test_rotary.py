"""Rotary positions, against complex numbers."""

import torch

from framework.functional.rotary import rotate, rotations
from framework.testing.samples import normal

HERE = torch.device("cpu")


def test_it_multiplies_by_complex_numbers_of_length_one():
    values = normal(7, 4)
    pairs = torch.complex(values[:, :2], values[:, 2:])
    for place in range(7):
        rotated = pairs[place] * torch.exp(1j * place * torch.tensor([1.0, 10_000.0**-0.5]))
        expected = torch.cat([rotated.real, rotated.imag])
        assert torch.allclose(rotate(values, rotations(7, 4, HERE))[place], expected, atol=1e-6)


def test_it_keeps_the_precision_of_its_input():
    assert rotate(normal(2, 4).bfloat16(), rotations(2, 4, HERE)).dtype == torch.bfloat16
