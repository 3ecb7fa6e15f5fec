"""Returns, against their definitions."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.functional.returns import discount_weights, lambda_return
from tests.tiny import normal, seeded

SIZES = given(rows=st.integers(1, 4), horizon=st.integers(1, 12), seed=st.integers(0, 1000))
FEW = settings(max_examples=20, deadline=None)


def rollout(rows: int, horizon: int, seed: int):
    discount = torch.rand(rows, horizon, generator=seeded(seed))
    return normal(rows, horizon, seed=seed), discount, normal(rows, horizon, seed=seed + 1)


def close(left, right) -> bool:
    return torch.allclose(left, torch.as_tensor(right), atol=1e-5)


@SIZES
@FEW
def test_lambda_zero_is_one_step_of_temporal_difference(rows, horizon, seed):
    reward, discount, value = rollout(rows, horizon, seed)
    assert close(lambda_return(reward, discount, value, 0.0), reward + discount * value)


@SIZES
@FEW
def test_lambda_one_is_monte_carlo_with_a_bootstrap(rows, horizon, seed):
    reward, discount, value = rollout(rows, horizon, seed)
    returns = lambda_return(reward, discount, value, 1.0)
    for row in range(rows):
        for start in range(horizon):
            total, kept = 0.0, 1.0
            for t in range(start, horizon):
                total, kept = total + kept * reward[row, t], kept * discount[row, t]
            assert close(returns[row, start], total + kept * value[row, -1])


@SIZES
@FEW
def test_it_is_the_weighted_mean_of_the_returns_of_every_length(rows, horizon, seed):
    return_lambda = 0.7
    reward, discount, value = rollout(rows, horizon, seed)
    returns = lambda_return(reward, discount, value, return_lambda)
    for row in range(rows):
        for start in range(horizon):
            of_length, total, kept = [], 0.0, 1.0
            for t in range(start, horizon):
                total, kept = total + kept * reward[row, t], kept * discount[row, t]
                of_length.append(total + kept * value[row, t])
            last = len(of_length) - 1
            mixed = (
                sum((1 - return_lambda) * return_lambda**n * each for n, each in enumerate(of_length[:-1]))
                + return_lambda**last * of_length[-1]
            )
            assert close(returns[row, start], mixed)


def test_literal_numbers():
    given_reward, given_discount = torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.5)
    found = lambda_return(given_reward, given_discount, torch.tensor([10.0, 20.0, 30.0]), 0.5)
    assert found.tolist() == [6.375, 11.5, 18.0]


def test_a_termination_cuts_what_comes_after():
    reward, discount, value = rollout(2, 6, 0)
    discount[0, 2] = 0.0
    before = lambda_return(reward, discount, value, 0.95)
    reward[:, 3:], value[:, 2:] = 100.0, 100.0
    after = lambda_return(reward, discount, value, 0.95)
    assert torch.equal(before[0, :3], after[0, :3])
    assert (before[1, :3] != after[1, :3]).all()


def test_a_time_limit_bootstraps():
    reward, value = torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 8.0]])
    assert lambda_return(reward, torch.full((1, 3), 0.5), value, 1.0).tolist() == [[1.0, 2.0, 4.0]]


def test_each_step_may_mix_by_a_share_of_its_own():
    reward, discount, value = rollout(2, 5, 0)
    return_lambda = torch.full((2, 5), 0.8)
    assert close(lambda_return(reward, discount, value, return_lambda), lambda_return(reward, discount, value, 0.8))
    return_lambda[0, 2] = 0.0
    found = lambda_return(reward, discount, value, return_lambda)
    assert close(found[0, 2], reward[0, 2] + discount[0, 2] * value[0, 2])
    following = 0.2 * value[0, 1] + 0.8 * found[0, 2]
    assert close(found[0, 1], reward[0, 1] + discount[0, 1] * following)


def test_its_gradient_is_the_weight_of_each_reward():
    reward, discount, value = rollout(1, 4, 0)
    reward.requires_grad_()
    lambda_return(reward, discount, value, 0.9)[0, 0].backward()
    expected = [1.0, *((0.9 * discount[0, :3]).cumprod(0)).tolist()]
    assert close(reward.grad[0], expected)


def test_survival_is_the_chance_of_getting_there():
    assert torch.allclose(discount_weights(torch.tensor([0.9, 0.5, 0.0, 0.7])), torch.tensor([1.0, 0.9, 0.45, 0.0]))


@SIZES
@FEW
def test_survival_begins_at_one_and_never_rises(rows, horizon, seed):
    weight = discount_weights(rollout(rows, horizon, seed)[1])
    assert weight.shape == (rows, horizon)
    assert (weight[:, 0] == 1).all()
    assert (weight.diff(dim=1) <= 0).all()
