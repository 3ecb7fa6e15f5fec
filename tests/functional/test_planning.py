"""Sampling-based planning: returns, the best plans, and the refit distribution."""

import pytest
import torch

from framework.functional.planning import best_plans, plan_return, refit
from tests.tiny import normal, seeded

H, N, M, A, K = 3, 2, 7, 2, 4


def test_the_return_of_a_plan_is_discounted():
    reward = torch.tensor([[1.0, 10.0, 100.0]])
    for discount, expected in [
        ([1.0, 1.0, 1.0], 1111.0),
        ([0.5, 0.5, 0.5], 1 + 5 + 25 + 125),
        ([1.0, 0.0, 1.0], 11.0),
        ([0.0, 1.0, 1.0], 1.0),
    ]:
        assert plan_return(reward, torch.tensor([discount]), torch.tensor([1000.0])).item() == pytest.approx(expected)


def test_the_best_plans_have_the_highest_scores():
    plans, scores = normal(H, N, M, A), normal(N, M, seed=1)
    best, best_scores = best_plans(plans, scores, K)
    assert best.shape == (H, N, K, A)
    for n in range(N):
        order = sorted(range(M), key=lambda m: -scores[n, m].item())[:K]
        assert torch.equal(best_scores[n], scores[n, order])
        for k, m in enumerate(order):
            assert torch.equal(best[:, n, k], plans[:, n, m])


def test_a_refit_is_the_weighted_mean_and_deviation():
    plans, weights = normal(H, N, K, A), torch.rand(N, K, generator=seeded(1)).softmax(dim=-1)
    mean, std = refit(plans, weights)
    expected = torch.einsum("nk,hnka->hna", weights, plans)
    variance = torch.einsum("nk,hnka->hna", weights, plans.square()) - expected.square()
    assert torch.allclose(mean, expected, atol=1e-5)
    assert torch.allclose(std, variance.sqrt(), atol=1e-5)
