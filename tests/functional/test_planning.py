"""Plans: their returns, the best of them, and the distribution around those."""

import math

import pytest
import torch

from framework.functional.planning import best_plans, plan_return, refit
from tests.tiny import normal, seeded

H, N, M, A, K = 3, 2, 7, 2, 4


def test_a_plan_is_worth_what_comes_before_it_ends():
    reward = torch.tensor([[1.0, 10.0, 100.0]])
    for discount, worth in [
        ([1.0, 1.0, 1.0], 1111.0),
        ([0.5, 0.5, 0.5], 1 + 5 + 25 + 125),
        ([1.0, 0.0, 1.0], 11.0),
        ([0.0, 1.0, 1.0], 1.0),
    ]:
        assert plan_return(reward, torch.tensor([discount]), torch.tensor([1000.0])).item() == pytest.approx(worth)


def test_the_best_plans_are_those_that_score_highest():
    plans, scores = normal(H, N, M, A), normal(N, M, seed=1)
    best, found = best_plans(plans, scores, K)
    assert best.shape == (H, N, K, A)
    for n in range(N):
        order = sorted(range(M), key=lambda m: -scores[n, m].item())[:K]
        assert torch.equal(found[n], scores[n, order])
        for k, m in enumerate(order):
            assert torch.equal(best[:, n, k], plans[:, n, m])


def test_a_refit_is_the_weighted_mean_and_deviation():
    plans, weights = normal(H, N, K, A), torch.rand(N, K, generator=seeded(1)).softmax(dim=-1)
    mean, std = refit(plans, weights)
    for h in range(H):
        for n in range(N):
            for a in range(A):
                values, shares = plans[h, n, :, a].tolist(), weights[n].tolist()
                middle = sum(w * x for w, x in zip(shares, values, strict=True))
                spread = math.sqrt(sum(w * (x - middle) ** 2 for w, x in zip(shares, values, strict=True)))
                assert mean[h, n, a].item() == pytest.approx(middle, abs=1e-5)
                assert std[h, n, a].item() == pytest.approx(spread, abs=1e-5)


def test_one_plan_with_all_the_weight_is_the_plan():
    plans = normal(H, N, K, A)
    mean, std = refit(plans, torch.tensor([[0.0, 1.0, 0.0, 0.0]]).expand(N, K))
    assert torch.equal(mean, plans[:, :, 1])
    assert (std == 0).all()
