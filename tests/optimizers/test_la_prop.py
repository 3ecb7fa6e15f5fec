"""LaProp beyond its steps, which `tests/reference` compares with the equations."""

import pytest
import torch

from framework.optimizers.base import bias_correction, warmed_up


def test_the_rate_rises_to_its_value_and_stays():
    assert [warmed_up(1.0, 4, torch.tensor(float(step))).item() for step in range(1, 7)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert warmed_up(0.5, 0, torch.tensor(1.0)) == 0.5


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_correction_of_an_average_is_exact_in_single_precision(decay):
    for step in (1, 2, 10, 1_000, 1_000_000):
        assert bias_correction(decay, torch.tensor(float(step))).item() == pytest.approx(1 - decay**step, rel=3e-7)
