"""Returns beside their reference: literal examples, a lambda of each step, gradients, and plans."""

import pytest
import torch

from framework.functional.returns import best_plans, discount_weights, lambda_return, plan_return, refit
from framework.testing.samples import normal, seeded

H, N, M, A, K = 3, 2, 7, 2, 4


def rollout(rows: int, horizon: int):
    discount = torch.rand(rows, horizon, generator=seeded(0))
    return normal(rows, horizon), discount, normal(rows, horizon, seed=1)


def close(left, right) -> bool:
    return torch.allclose(left, torch.as_tensor(right), atol=1e-5)


def test_it_has_the_value_of_a_literal_example():
    reward, discount, next_value = torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.5), torch.tensor([10.0, 20.0, 30.0])
    assert lambda_return(reward, discount, next_value, 0.5).tolist() == [6.375, 11.5, 18.0]


def test_a_time_limit_bootstraps():
    reward, value = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 8.0]])
    assert lambda_return(reward, torch.full((1, 3), 0.5), value, 1.0).tolist() == [[1.0, 2.0, 4.0]]


def test_each_step_may_have_its_own_lambda():
    reward, discount, value = rollout(2, 5)
    return_lambda = torch.full((2, 5), 0.8)
    assert close(lambda_return(reward, discount, value, return_lambda), lambda_return(reward, discount, value, 0.8))
    return_lambda[0, 2] = 0.0
    returns = lambda_return(reward, discount, value, return_lambda)
    assert close(returns[0, 2], reward[0, 2] + discount[0, 2] * value[0, 2])
    following = 0.2 * value[0, 1] + 0.8 * returns[0, 2]
    assert close(returns[0, 1], reward[0, 1] + discount[0, 1] * following)


def test_its_gradient_is_the_weight_of_each_reward():
    reward, discount, value = rollout(1, 4)
    reward.requires_grad_()
    lambda_return(reward, discount, value, 0.9)[0, 0].backward()
    expected = [1.0, *((0.9 * discount[0, :3]).cumprod(0)).tolist()]
    assert close(reward.grad[0], expected)


def test_discount_weights_start_at_one_and_multiply_the_discounts_before_a_step():
    assert close(discount_weights(torch.tensor([[0.5, 0.2, 3.0, 7.0]])), [[1.0, 0.5, 0.1, 0.3]])


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
