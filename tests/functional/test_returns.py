"""Returns, against their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.functional.returns import discount_weights, lambda_return
from tests.tiny import normal, seeded

SIZES = given(rows=st.integers(1, 4), horizon=st.integers(1, 12), seed=st.integers(0, 1000))
FEW = settings(max_examples=8, deadline=None)


def rollout(rows: int, horizon: int, seed: int):
    discount = torch.rand(rows, horizon, generator=seeded(seed))
    return normal(rows, horizon, seed=seed), discount, normal(rows, horizon, seed=seed + 1)


def close(left, right) -> bool:
    return torch.allclose(left, torch.as_tensor(right), atol=1e-5)


@SIZES
@FEW
@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_it_is_the_weighted_mean_of_the_returns_of_every_length(lam, rows, horizon, seed):
    """Temporal difference at 0, and Monte Carlo with a bootstrap at 1."""
    reward, discount, value = rollout(rows, horizon, seed)
    returns = lambda_return(reward, discount, value, lam)
    for row in range(rows):
        for start in range(horizon):
            lengths, total, weight = [], 0.0, 1.0
            for t in range(start, horizon):
                total, weight = total + weight * reward[row, t], weight * discount[row, t]
                lengths.append(total + weight * value[row, t])
            mean = sum((1 - lam) * lam**n * each for n, each in enumerate(lengths[:-1])) + lam ** (len(lengths) - 1) * lengths[-1]
            assert close(returns[row, start], mean)


def test_it_has_the_value_of_a_literal_example():
    reward, discount, next_value = torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.5), torch.tensor([10.0, 20.0, 30.0])
    assert lambda_return(reward, discount, next_value, 0.5).tolist() == [6.375, 11.5, 18.0]


def test_a_time_limit_bootstraps():
    reward, value = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 8.0]])
    assert lambda_return(reward, torch.full((1, 3), 0.5), value, 1.0).tolist() == [[1.0, 2.0, 4.0]]


def test_each_step_may_have_its_own_lambda():
    reward, discount, value = rollout(2, 5, 0)
    return_lambda = torch.full((2, 5), 0.8)
    assert close(lambda_return(reward, discount, value, return_lambda), lambda_return(reward, discount, value, 0.8))
    return_lambda[0, 2] = 0.0
    returns = lambda_return(reward, discount, value, return_lambda)
    assert close(returns[0, 2], reward[0, 2] + discount[0, 2] * value[0, 2])
    following = 0.2 * value[0, 1] + 0.8 * returns[0, 2]
    assert close(returns[0, 1], reward[0, 1] + discount[0, 1] * following)


def test_its_gradient_is_the_weight_of_each_reward():
    reward, discount, value = rollout(1, 4, 0)
    reward.requires_grad_()
    lambda_return(reward, discount, value, 0.9)[0, 0].backward()
    expected = [1.0, *((0.9 * discount[0, :3]).cumprod(0)).tolist()]
    assert close(reward.grad[0], expected)


def test_discount_weights_start_at_one_and_multiply_the_discounts_before_a_step():
    assert close(discount_weights(torch.tensor([[0.5, 0.2, 3.0, 7.0]])), [[1.0, 0.5, 0.1, 0.3]])
