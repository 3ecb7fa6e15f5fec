"""Dreamer V3's behavior, against loops written from the paper's equations and its code."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from framework.actor_critics.reinforce import Reinforce
from framework.actor_critics.return_scale import ReturnScale
from framework.data import ActionKind, Imagination, InferredBatch
from framework.errors import UserError
from tests.actor_critics.worlds import half_square, naive_choices, random_rollout
from tests.members import factory
from tests.tiny import LATENT, ROWS, TIMES, acted, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES, STARTS, HORIZON = LATENT.feature_size, ROWS * TIMES, 4
GAMMA, LAMBDA, ENTROPY = 0.9, 0.8, 0.01


def make(kind: ActionKind = "continuous", **settings) -> Reinforce:
    torch.manual_seed(0)
    small = {"layers": 1, "units": 8, "value": factory("values", "NormalValue")}
    numbers = {"discount": GAMMA, "return_lambda": LAMBDA, "entropy": ENTROPY}
    return Reinforce(**behavior_sizes(LATENT, kind), **(small | numbers | settings))


def rollout(kind: ActionKind = "continuous", starts: int = STARTS) -> Imagination:
    """Large rewards, and some continuous actions on the edge."""
    imagination = random_rollout(starts, HORIZON, kind)
    action = (2 * imagination.action).clamp(-1, 1) if kind == "continuous" else imagination.action
    return replace(imagination, action=action, reward=100 * imagination.reward)


def losses_of(behavior: Reinforce, imagination: Imagination, inferred: InferredBatch | None = None, kind: ActionKind = "continuous"):
    return behavior.losses(imagination, replayed(kind=kind) if inferred is None else inferred, replayed_noise(kind=kind))[0]


def naive_returns(behavior: Reinforce, imagination: Imagination) -> tuple[list[list[float]], list[list[float]]]:
    """`R_t = r_{t+1} + gamma c_{t+1} ((1 - lambda) v_{t+1} + lambda R_{t+1})`, and the values."""
    returns, values = [], []
    for n in range(imagination.reward.shape[0]):
        values.append([behavior.value(feature).item() for feature in imagination.features[n]])
        following, backward = values[n][-1], []
        for t in reversed(range(HORIZON)):
            discount = GAMMA * imagination.continuation[n, t + 1].item()
            following = imagination.reward[n, t + 1].item() + discount * ((1 - LAMBDA) * values[n][t + 1] + LAMBDA * following)
            backward.append(following)
        returns.append(backward[::-1])
    return returns, values


def naive_range(returns: list[list[float]]) -> float:
    """From the 5th to the 95th percentile, interpolated linearly."""
    ordered = sorted(each for row in returns for each in row)

    def percentile(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = math.floor(place)
        return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])

    return percentile(0.95) - percentile(0.05)


def naive_policy(behavior: Reinforce, features: Tensor, action: Tensor) -> tuple[float, float]:
    """The log-density of an action, and the entropy."""
    if behavior.action.kind != "continuous":
        log_probability, entropy = naive_choices(behavior.actor(features), action, behavior.action.sizes, unimix=0.01)
        return log_probability.item(), entropy.item()
    outputs, density, entropy = behavior.actor(features).tolist(), 0.0, 0.0
    for k, clipped in enumerate(action.tolist()):
        mean, std = math.tanh(outputs[k]), 0.9 / (1 + math.exp(-outputs[len(action) + k] - 2)) + 0.1
        beyond = 0.5 * math.erfc((1 - mean * math.copysign(1, clipped)) / std / math.sqrt(2))
        inside = math.exp(-0.5 * ((clipped - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
        density += math.log(beyond if abs(clipped) == 1 else inside)
        entropy += 0.5 * math.log(2 * math.pi * math.e * std**2)
    return density, entropy


def naive_weights(imagination: Imagination, n: int) -> list[float]:
    """`c_0 prod_{0 < i <= t} gamma c_i`."""
    weights = [imagination.continuation[n, 0].item()]
    for t in range(1, HORIZON):
        weights.append(weights[-1] * GAMMA * imagination.continuation[n, t].item())
    return weights


def naive_actor(behavior: Reinforce, imagination: Imagination, range_before: float) -> Tensor:
    returns, values = naive_returns(behavior, imagination)
    scale = max(1.0, 0.99 * range_before + 0.01 * naive_range(returns))
    losses = torch.zeros(len(returns), HORIZON)
    for n in range(len(returns)):
        for t, weight in enumerate(naive_weights(imagination, n)):
            density, entropy = naive_policy(behavior, imagination.features[n, t], imagination.action[n, t])
            losses[n, t] = -weight * (density * (returns[n][t] - values[n][t]) / scale + ENTROPY * entropy)
    return losses


def naive_value(behavior: Reinforce, imagination: Imagination, inferred: InferredBatch) -> Tensor:
    """The imagined part, and 0.3 of the replayed one, which is differentiable in the features."""
    returns, _ = naive_returns(behavior, imagination)
    batch, imagined, replay = inferred.batch, torch.zeros(()), torch.zeros(())
    for n in range(len(returns)):
        for t, weight in enumerate(naive_weights(imagination, n)):
            imagined = imagined + weight * half_square(behavior.value(imagination.features[n, t]), returns[n][t])
    for b in range(ROWS):
        bootstrap = [returns[b * TIMES + t][0] for t in range(TIMES)]
        last = [bool(batch.is_first[b, t + 1]) for t in range(TIMES - 1)] + [False]
        following = bootstrap[-1]
        for t in reversed(range(TIMES - 1)):
            discount = GAMMA * (1 - float(batch.is_terminal[b, t + 1]))
            lam = LAMBDA * (1 - float(last[t + 1]))
            following = batch.reward[b, t + 1].item() + discount * ((1 - lam) * bootstrap[t + 1] + lam * following)
            if not last[t]:
                replay = replay + half_square(behavior.value(inferred.features[b, t]), following)
    return imagined / (len(returns) * HORIZON) + 0.3 * replay / (ROWS * (TIMES - 1))


def episodes() -> InferredBatch:
    """A terminated episode and one that a time limit ended, each followed by another in its row."""
    inferred = replayed()
    inferred.batch.is_first[:] = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]], dtype=torch.bool)
    inferred.batch.is_terminal[:] = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)
    return inferred


@pytest.mark.parametrize("kind", ["continuous", "discrete", "multi_discrete"])
def test_its_actors_loss_is_that_of_the_paper(kind):
    behavior, imagination = make(kind), rollout(kind)
    for range_before in (0.0, 300.0):
        behavior.scale.range.fill_(range_before)
        found = losses_of(behavior, imagination, kind=kind)["actor"]
        assert found.shape == (STARTS, HORIZON)
        assert torch.allclose(found, naive_actor(behavior, imagination, range_before), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("inferred", [replayed(), episodes()], ids=["random", "with ends of episodes"])
def test_its_values_loss_is_that_of_the_papers_code(inferred):
    behavior, imagination = make(), rollout()
    found = losses_of(behavior, imagination, inferred)["value"].mean()
    assert torch.allclose(found, naive_value(behavior, imagination, inferred), rtol=1e-4)


def test_the_replayed_value_trains_the_model_as_in_the_paper():
    behavior, imagination, inferred = make(), rollout(), episodes()
    leaf = inferred.posterior.map(lambda tensor: tensor.clone().requires_grad_())
    inferred = replace(inferred, posterior=leaf)
    leaves = [leaf.stochastic, leaf.deterministic, *behavior.group("value")]
    found = torch.autograd.grad(losses_of(behavior, imagination, inferred)["value"].mean(), leaves)
    expected = torch.autograd.grad(naive_value(behavior, imagination, inferred), leaves)
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in zip(found, expected, strict=True))
    of_last = found[0][inferred.batch.is_first.roll(-1, dims=1)[:, :-1].nonzero(as_tuple=True)]
    assert len(of_last) == 3
    assert not of_last.any(), "the last step of an episode has no loss"
    assert found[0].any()


def test_the_return_scale_averages_ranges_from_zero_and_is_at_least_one():
    scale, returns, scales = ReturnScale(), torch.linspace(0, 1000, 101), []
    for _ in range(3):
        scales.append(scale(returns).item())
        assert scale(returns).item() == scales[-1], "a call has no lasting effect"
        scale.after_update()
    assert scales == pytest.approx([9.0, 17.91, 26.7309])
    assert ReturnScale()(returns / 1000).item() == 1.0


def test_the_return_scale_is_part_of_a_checkpoint():
    behavior, again = make(), make()
    for _ in range(3):
        losses_of(behavior, rollout())
        behavior.after_update()
    again.load_state_dict(behavior.state_dict())
    assert behavior.scale.range > 1
    assert torch.equal(losses_of(again, rollout())["actor"], losses_of(behavior, rollout())["actor"])


def test_it_learns_nothing_after_an_episode_ended():
    imagination = rollout()
    imagination.continuation[2, 0] = 0.0
    imagination.continuation[3, 2] = 0.0
    for loss in losses_of(make(replay_value=0.0), imagination).values():
        assert (loss[2] == 0).all()
        assert (loss[3, 2:] == 0).all()
        assert loss[3, :2].all()


def test_the_initial_policy_is_near_zero_with_the_released_standard_deviation():
    behavior = make(units=256)
    policy = behavior.policy(normal(200, FEATURES))
    assert policy.mean.abs().max() < 0.05
    assert torch.allclose(policy.std, torch.tensor(0.9 / (1 + math.exp(-2)) + 0.1), atol=0.01)
    assert acted(behavior, normal(200, FEATURES), "mode", seeded()).abs().max() < 0.05
    assert acted(behavior, normal(200, FEATURES), "explore", seeded()).std().item() == pytest.approx(0.685, abs=0.03)


def test_a_discrete_policy_keeps_one_percent_of_the_uniform_distribution():
    policy = make("discrete", norm="none").policy(1e6 * normal(200, FEATURES))
    assert policy.log_probabilities.exp().min().item() == pytest.approx(0.01 / 3, rel=1e-3)


def test_no_gradient_reaches_imagination_and_none_of_the_actors_loss_the_value():
    behavior, imagination = make(), rollout()
    leaves = [each.requires_grad_() for each in vars(imagination).values() if each is not None]
    losses, metrics = behavior.losses(imagination, replayed(), replayed_noise())
    for loss in losses.values():
        assert all(each is None for each in torch.autograd.grad(loss.sum(), leaves, allow_unused=True, retain_graph=True))
    assert not metrics["behavior/return"].requires_grad
    assert all(each is None for each in torch.autograd.grad(losses["actor"].mean(), behavior.group("value"), allow_unused=True))


def test_without_replayed_steps_rollouts_may_start_anywhere():
    behavior = make(replay_value=0.0)
    losses, metrics = behavior.losses(rollout(starts=4), replayed(), replayed_noise())
    assert behavior.shapes_model == ()
    assert losses["value"].shape == (4, HORIZON)
    assert "behavior/replayed_return" not in metrics


def test_rollouts_from_some_of_the_replayed_steps_are_refused():
    with pytest.raises(UserError, match=r"each of the 15 replayed steps, and there are 4; bind Agent.imagination_starts = None"):
        losses_of(make(), rollout(starts=4))


def test_a_negative_weight_of_the_replayed_value_is_refused():
    with pytest.raises(UserError, match=r"Reinforce.replay_value = -0.3"):
        make(replay_value=-0.3)
