"""InfoNCE on correlated Gaussians, whose mutual information is known: the estimate with the exact conditional density.

The score is `log p(x | y)`, a density over latents, of the Gaussians of `tests.gaussians`.
"""

import math

import pytest
import torch

from framework.functional import contrastive
from framework.functional.densities import gaussian_scores
from tests.gaussians import SIZE, correlation, pairs


def estimate(information: float, candidates: int, batches: int, axis: str = "row") -> tuple[float, float]:
    """The mean estimate in nats and its standard error."""
    rho, weights, estimates = correlation(information), torch.zeros(candidates, candidates), []
    for x, y in zip(*pairs(information, batches, candidates), strict=True):
        scores = gaussian_scores(x, rho * y, torch.full((candidates, SIZE), math.sqrt(1 - rho**2)))
        estimates.append(contrastive.infonce_estimate(scores if axis == "row" else scores.T, weights).mean())
    values = torch.stack(estimates)
    return values.mean().item(), (values.std() / math.sqrt(batches)).item()


@pytest.mark.parametrize(("information", "candidates", "expected"), [(2, 64, 1.83), (10, 128, 4.79)])
def test_the_estimate_has_the_known_nats(information, candidates, expected):
    mean, error = estimate(information, candidates, batches=12_800 // candidates)
    assert error <= 0.03
    assert mean == pytest.approx(expected, abs=0.04)
    assert mean <= information


def test_a_density_over_latents_is_wrong_by_nats_on_the_column_axis():
    on_columns, _ = estimate(2, 512, batches=12, axis="column")
    on_rows, _ = estimate(2, 512, batches=12)
    assert on_columns < on_rows - 1.5
    assert on_rows == pytest.approx(1.97, abs=0.1)


def test_the_estimate_of_independent_variables_is_zero():
    mean, _ = estimate(1e-9, 64, batches=20)
    assert mean == pytest.approx(0, abs=0.01)
