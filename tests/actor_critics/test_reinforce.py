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
from tests.members import factory
from tests.tiny import ACTIONS, LATENT, ROWS, TIMES, acted, actions, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES, STARTS, HORIZON = 10, ROWS * TIMES, 4
KINDS = pytest.mark.parametrize("kind", ["continuous", "discrete", "multi_discrete"])
DISCOUNT, MIXING, ENTROPY = 0.9, 0.8, 0.01


def make(kind: ActionKind = "continuous", **settings) -> Reinforce:
    torch.manual_seed(0)
    small = {
        "layers": 1,
        "units": 8,
        "value": factory("values", "NormalValue"),
        "discount": DISCOUNT,
        "return_lambda": MIXING,
        "entropy": ENTROPY,
    }
    return Reinforce(**behavior_sizes(LATENT, kind), **(small | settings))


def rollout(kind: ActionKind = "continuous", starts: int = STARTS) -> Imagination:
    """Some numbers of the actions lie on the edge."""
    action = actions(kind, starts, HORIZON, seed=1)
    return Imagination(
        action=action if kind != "continuous" else (2 * action).clamp(-1, 1),
        features=normal(starts, HORIZON + 1, FEATURES, seed=2),
        reward=100 * normal(starts, HORIZON + 1, seed=3),
        continuation=torch.rand(starts, HORIZON + 1, generator=seeded(4)),
    )


def naive_returns(behavior: Reinforce, imagination: Imagination) -> tuple[list[list[float]], list[list[float]]]:
    """R_t = r_{t+1} + gamma c_{t+1} ((1 - lambda) v_{t+1} + lambda R_{t+1}), and the values beside them."""
    returns, values = [], []
    for n in range(imagination.reward.shape[0]):
        told = [behavior.value(feature).item() for feature in imagination.features[n]]
        following, backwards = told[-1], []
        for t in reversed(range(HORIZON)):
            live = DISCOUNT * imagination.continuation[n, t + 1].item()
            following = imagination.reward[n, t + 1].item() + live * ((1 - MIXING) * told[t + 1] + MIXING * following)
            backwards.append(following)
        returns.append(backwards[::-1])
        values.append(told)
    return returns, values


def naive_range(returns: list[list[float]]) -> float:
    """From the 5th to the 95th percentile, between neighbors in proportion."""
    ordered = sorted(each for row in returns for each in row)

    def percentile(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = math.floor(place)
        return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])

    return percentile(0.95) - percentile(0.05)


def naive_likelihood(behavior: Reinforce, features: Tensor, action: Tensor) -> tuple[float, float]:
    """log pi(a), and the entropy."""
    numbers = behavior.actor.net(features).tolist()
    density = entropy = 0.0
    if behavior.actor.action.kind == "continuous":
        for k, cut in enumerate(action.tolist()):
            mean, std = math.tanh(numbers[k]), 0.9 / (1 + math.exp(-numbers[len(action) + k] - 2)) + 0.1
            beyond = 0.5 * math.erfc((1 - mean * math.copysign(1, cut)) / std / math.sqrt(2))
            inside = math.exp(-0.5 * ((cut - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
            density += math.log(beyond if abs(cut) == 1 else inside)
            entropy += 0.5 * math.log(2 * math.pi * math.e * std**2)
        return density, entropy
    start = 0
    for size in behavior.actor.action.sizes:
        total = sum(math.exp(each) for each in numbers[start : start + size])
        chances = [0.99 * math.exp(each) / total + 0.01 / size for each in numbers[start : start + size]]
        density += math.log(chances[int(action[start : start + size].argmax())])
        entropy -= sum(chance * math.log(chance) for chance in chances)
        start += size
    return density, entropy


def naive_actor(behavior: Reinforce, imagination: Imagination, range_before: float) -> Tensor:
    returns, values = naive_returns(behavior, imagination)
    scale = max(1.0, 0.99 * range_before + 0.01 * naive_range(returns))
    losses = torch.zeros(len(returns), HORIZON)
    for n in range(len(returns)):
        weight = 1 / DISCOUNT
        for t in range(HORIZON):
            weight *= DISCOUNT * imagination.continuation[n, t].item()
            density, entropy = naive_likelihood(behavior, imagination.features[n, t], imagination.action[n, t])
            losses[n, t] = -weight * (density * (returns[n][t] - values[n][t]) / scale + ENTROPY * entropy)
    return losses


def naive_value(behavior: Reinforce, imagination: Imagination, known: InferredBatch) -> Tensor:
    """The imagined part, and 0.3 of the replayed one, which is differentiable in the features."""
    returns, _ = naive_returns(behavior, imagination)
    imagined, seen = torch.zeros(()), torch.zeros(())
    for n in range(len(returns)):
        weight = 1 / DISCOUNT
        for t in range(HORIZON):
            weight *= DISCOUNT * imagination.continuation[n, t].item()
            imagined = imagined + weight * half_square(behavior, imagination.features[n, t], returns[n][t])
    for b in range(ROWS):
        foreseen = [returns[b * TIMES + t][0] for t in range(TIMES)]
        last = [bool(known.batch.is_first[b, t + 1]) for t in range(TIMES - 1)] + [False]
        following = foreseen[-1]
        for t in reversed(range(TIMES - 1)):
            live = DISCOUNT * (1 - float(known.batch.is_terminal[b, t + 1]))
            kept = MIXING * (1 - float(last[t + 1]))
            following = known.batch.reward[b, t + 1].item() + live * ((1 - kept) * foreseen[t + 1] + kept * following)
            if not last[t]:
                seen = seen + half_square(behavior, known.features[b, t], following)
    return imagined / (len(returns) * HORIZON) + 0.3 * seen / (ROWS * (TIMES - 1))


def half_square(behavior: Reinforce, features: Tensor, target: float) -> Tensor:
    return 0.5 * (behavior.value(features) - target) ** 2 + 0.5 * math.log(2 * math.pi)


def episodes() -> InferredBatch:
    """One that was terminated and one that ran out of time, each followed by the next in the same row."""
    known = replayed()
    known.batch.is_first[:] = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]], dtype=torch.bool)
    known.batch.is_terminal[:] = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)
    return known


@KINDS
def test_its_actors_loss_is_that_of_the_paper(kind):
    behavior, imagination = make(kind), rollout(kind)
    for range_before in (0.0, 300.0):
        behavior.scale.range.fill_(range_before)
        found = behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))[0]["actor"]
        assert found.shape == (STARTS, HORIZON)
        assert torch.allclose(found, naive_actor(behavior, imagination, range_before), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("known", [replayed(), episodes()], ids=["as it comes", "with ends of episodes"])
def test_its_values_loss_is_that_of_the_papers_code(known):
    behavior, imagination = make(), rollout()
    found = behavior.losses(imagination, known, replayed_noise())[0]["value"].mean()
    assert torch.allclose(found, naive_value(behavior, imagination, known), rtol=1e-4)


def test_the_return_scale_averages_ranges_from_zero_and_is_at_least_one():
    scale, returns = ReturnScale(), torch.linspace(0, 1000, 101)
    said = []
    for _ in range(3):
        said.append(scale(returns).item())
        assert scale(returns).item() == said[-1], "asked twice, it says the same"
        scale.after_update()
    assert said == pytest.approx([9.0, 17.91, 26.7309])
    assert ReturnScale()(returns / 1000).item() == 1.0


def test_the_return_scale_goes_on_where_it_was():
    behavior, again = make(), make()
    for _ in range(3):
        behavior.losses(rollout(), replayed(), replayed_noise())
        behavior.after_update()
    again.load_state_dict(behavior.state_dict())
    assert behavior.scale.range > 1
    assert torch.equal(
        again.losses(rollout(), replayed(), replayed_noise())[0]["actor"],
        behavior.losses(rollout(), replayed(), replayed_noise())[0]["actor"],
    )


def test_it_learns_nothing_after_an_episode_ended():
    imagination = rollout()
    imagination.continuation[2, 0] = 0.0
    imagination.continuation[3, 2] = 0.0
    losses, _ = make(replay_value=0.0).losses(imagination, replayed(), replayed_noise())
    for loss in losses.values():
        assert (loss[2] == 0).all()
        assert (loss[3, 2:] == 0).all()
        assert loss[3, :2].all()


def test_the_policy_begins_near_the_middle_as_wide_as_released():
    behavior = make(units=256)
    law = behavior.policy(normal(200, FEATURES))
    assert law.mean.abs().max() < 0.05
    assert torch.allclose(law.std, torch.tensor(0.9 / (1 + math.exp(-2)) + 0.1), atol=0.01)
    assert acted(behavior, normal(200, FEATURES), "mode", seeded()).abs().max() < 0.05
    assert acted(behavior, normal(200, FEATURES), "explore", seeded()).std().item() == pytest.approx(0.685, abs=0.03)


def test_a_discrete_policy_keeps_one_percent_of_chance():
    law = make("discrete", norm="none").policy(1e6 * normal(200, FEATURES))
    assert law.log_probabilities.exp().min().item() == pytest.approx(0.01 / 3, rel=1e-3)


def test_the_replayed_value_trains_the_model_as_the_paper_says():
    behavior, imagination, known = make(), rollout(), episodes()
    leaf = known.posterior.map(lambda tensor: tensor.clone().requires_grad_())
    known = replace(known, posterior=leaf)
    leaves = [leaf.stochastic, leaf.deterministic, *behavior.group("value")]
    found = torch.autograd.grad(behavior.losses(imagination, known, replayed_noise())[0]["value"].mean(), leaves)
    expected = torch.autograd.grad(naive_value(behavior, imagination, known), leaves)
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-4) for one, other in zip(found, expected, strict=True))
    of_last = found[0][known.batch.is_first.roll(-1, dims=1)[:, :-1].nonzero(as_tuple=True)]
    assert len(of_last) == 3
    assert not of_last.any(), "the last step of an episode has no loss"
    assert found[0].any()


def test_nothing_reaches_what_was_imagined():
    behavior, imagination = make(), rollout()
    leaves = [each.requires_grad_() for each in vars(imagination).values() if each is not None]
    losses, metrics = behavior.losses(imagination, replayed(), replayed_noise())
    for loss in losses.values():
        assert all(each is None for each in torch.autograd.grad(loss.sum(), leaves, allow_unused=True, retain_graph=True))
    assert not metrics["behavior/return"].requires_grad


def test_the_baseline_takes_no_gradient_from_the_actor():
    behavior = make()
    loss = behavior.losses(rollout(), replayed(), replayed_noise())[0]["actor"].mean()
    assert all(each is None for each in torch.autograd.grad(loss, behavior.group("value"), allow_unused=True))


def test_without_replayed_steps_it_may_start_anywhere():
    behavior = make(replay_value=0.0)
    losses, metrics = behavior.losses(rollout(starts=4), replayed(), replayed_noise())
    assert behavior.shapes_model == ()
    assert losses["value"].shape == (4, HORIZON)
    assert "behavior/replayed_return" not in metrics


def test_rollouts_from_some_of_the_replayed_steps_are_refused():
    with pytest.raises(UserError, match=r"each of the 15 replayed steps, and there are 4; bind Agent.imagination_starts = None"):
        make().losses(rollout(starts=4), replayed(), replayed_noise())


def test_a_negative_share_is_refused():
    with pytest.raises(UserError, match=r"Reinforce.replay_value = -0.3"):
        make(replay_value=-0.3)


def test_it_takes_the_sizes_of_its_actions():
    for kind, outputs in {"continuous": 4, "discrete": 3, "multi_discrete": 5}.items():
        assert make(kind).actor.net.net[-1].out_features == outputs
        assert make(kind).draw_noise(6, generator=seeded()).shape == (6, ACTIONS[kind].size)
