"""Exploration by disagreement."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.actor_critics.plan2explore import Plan2Explore
from framework.data import Imagination
from framework.errors import UserError
from tests.actor_critics.worlds import latent_at, still
from tests.members import factory
from tests.tiny import LATENT, ROWS, TIMES, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES, ACTION, STARTS, HORIZON = LATENT.feature_size, 2, 6, 4


class Keeping(DynamicsBackprop):
    """Keeps the arguments of its losses."""

    def losses(self, imagination, inferred, noise):
        self.arguments = imagination, inferred
        return super().losses(imagination, inferred, noise)


def keeping(**sizes) -> Keeping:
    return Keeping(**sizes, **factory("actor_critics", "DynamicsBackprop").keywords)


def make(**settings) -> Plan2Explore:
    small = {"layers": 1, "units": 8, "members": 3, "of": keeping}
    return Plan2Explore(**behavior_sizes(LATENT), **(small | settings))


def rollout() -> Imagination:
    return Imagination(
        action=normal(STARTS, HORIZON, ACTION, seed=1).tanh(),
        features=normal(STARTS, HORIZON + 1, FEATURES, seed=2),
        reward=normal(STARTS, HORIZON + 1, seed=3),
        continuation=torch.ones(STARTS, HORIZON + 1),
    )


@pytest.mark.parametrize("spread", ["variance", "deviation", "log_deviation"])
def test_disagreement_is_the_spread_of_the_predictions(spread):
    behavior, features, action = make(spread=spread), normal(5, FEATURES), normal(5, ACTION, seed=1)
    predictions = [member(torch.cat([features, action], dim=-1)) for member in behavior.ensemble]
    mean = sum(predictions) / 3
    variance = sum((each - mean).square() for each in predictions) / 2
    deviation = variance.sqrt().mean(dim=-1)
    expected = {"variance": variance.mean(dim=-1), "deviation": deviation, "log_deviation": deviation.log()}[spread]
    assert torch.allclose(behavior.disagreement(features, action), expected, atol=1e-5)


def test_members_that_agree_have_no_disagreement():
    behavior = make()
    for member in behavior.ensemble:
        member.load_state_dict(behavior.ensemble[0].state_dict())
    assert behavior.disagreement(normal(5, FEATURES), normal(5, ACTION)).abs().max() < 1e-10


def test_the_reward_of_an_imagined_step_has_the_disagreement_of_the_action_that_led_to_it():
    behavior, imagination = make(intrinsic=2.0, extrinsic=0.5), rollout()
    behavior.losses(imagination, replayed(), replayed_noise())
    reward = behavior.of.arguments[0].reward
    assert reward.shape == (STARTS, HORIZON + 1)
    assert torch.allclose(reward[:, 0], 0.5 * imagination.reward[:, 0])
    for t in range(HORIZON):
        disagreement = behavior.disagreement(imagination.features[:, t], imagination.action[:, t])
        assert (disagreement > 0).all()
        assert torch.allclose(reward[:, t + 1], 0.5 * imagination.reward[:, t + 1] + 2.0 * disagreement)


def test_the_reward_of_a_replayed_step_has_it_too_but_for_the_first_of_an_episode():
    behavior, inferred = make(), replayed()
    behavior.losses(rollout(), inferred, replayed_noise())
    reward = behavior.of.arguments[1].batch.reward
    assert inferred.batch.is_first[:, 1:].any()
    for b in range(ROWS):
        for t in range(TIMES):
            if inferred.batch.is_first[b, t]:
                assert reward[b, t] == 0
            else:
                assert torch.allclose(reward[b, t], behavior.disagreement(inferred.features[b, t - 1], inferred.batch.action[b, t]))


@pytest.mark.parametrize("target", ["embedding", "stochastic"])
def test_the_ensemble_predicts_what_the_action_led_to(target):
    """Against a loop without the first steps of episodes."""
    behavior, inferred = make(target=target), replayed()
    outcome = inferred.embedding if target == "embedding" else inferred.posterior.stochastic
    costs = []
    for b in range(ROWS):
        for t in range(1, TIMES):
            if not inferred.batch.is_first[b, t]:
                inputs = torch.cat([inferred.features[b, t - 1], inferred.batch.action[b, t]])
                costs.append(sum(0.5 * (member(inputs) - outcome[b, t]).square().sum() for member in behavior.ensemble))
    assert len(costs) == ROWS * (TIMES - 1) - 1
    found, _ = behavior.losses(rollout(), inferred, replayed_noise())
    assert torch.allclose(found["ensemble"].mean(), torch.stack(costs).mean(), rtol=1e-4)


def test_disagreement_is_smaller_on_trained_steps():
    behavior, inferred = make(units=32), replayed()
    optimizer = torch.optim.Adam(behavior.group("ensemble"), lr=3e-2)
    for _ in range(25):
        loss = behavior.losses(rollout(), inferred, replayed_noise())[0]["ensemble"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned = behavior.disagreement(inferred.features[0, :-1], inferred.batch.action[0, 1:])
    other = behavior.disagreement(3 * normal(50, FEATURES, seed=8), normal(50, ACTION, seed=9))
    assert learned.mean() < 0.2 * other.mean()


def test_a_planner_in_it_plans_for_disagreement():
    """The world's own reward is largest without action."""
    planner = factory("actor_critics", "CEMPlanner", horizon=1, candidates=64, elites=4, iterations=6)
    behavior, features = make(of=planner), normal(5, FEATURES)
    imagine = still(lambda features, action: -100 * action.square().sum(dim=-1))
    action, _ = behavior.act(latent_at(features), behavior.initial(5), imagine, "mode", seeded(3))
    other = 2 * torch.rand(200, 5, ACTION, generator=seeded(4)) - 1
    disagreement = behavior.disagreement(features, action)
    assert (disagreement > behavior.disagreement(features.expand(200, -1, -1), other).quantile(0.9, dim=0)).all()


def test_the_reward_is_differentiable_in_actions_where_the_behavior_needs_it():
    imagination = rollout()
    action = imagination.action.requires_grad_()
    behavior = make()
    behavior.losses(replace(imagination, action=action), replayed(), replayed_noise())
    (gradient,) = torch.autograd.grad(behavior.of.arguments[0].reward[:, 1:].sum(), action)
    assert (gradient.abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("spread", ["variance", "deviation", "log_deviation"])
def test_its_gradient_is_finite_where_all_agree(spread):
    behavior, action = make(spread=spread), normal(5, ACTION).requires_grad_()
    for member in behavior.ensemble:
        member.load_state_dict(behavior.ensemble[0].state_dict())
    (gradient,) = torch.autograd.grad(behavior.disagreement(normal(5, FEATURES), action).sum(), action)
    assert gradient.isfinite().all()


def test_the_reward_is_constant_where_the_behavior_does_not_need_it():
    rewards: list[Tensor] = []

    def inner(**sizes):
        behavior = factory("actor_critics", "PolicyGradient")(**sizes)
        plain = behavior.losses
        behavior.losses = lambda imagination, *arguments: rewards.append(imagination.reward) or plain(imagination, *arguments)
        return behavior

    make(of=inner).losses(rollout(), replayed(), replayed_noise())
    assert [each.requires_grad for each in rewards] == [False]


def test_its_groups_are_those_of_the_inner_behavior_and_its_own():
    behavior = make()
    assert (behavior.groups, Plan2Explore.groups) == (("actor", "value", "ensemble"), ("ensemble",))
    assert [id(each) for each in behavior.group("actor")] == [id(each) for each in behavior.of.group("actor")]


def test_a_group_of_the_same_name_in_both_is_refused():
    with pytest.raises(UserError, match=r"Plan2Explore and Plan2Explore in it both have a group of parameters named \['ensemble'\]"):
        make(of=factory("actor_critics", "Plan2Explore"))


def test_one_member_is_refused():
    with pytest.raises(UserError, match=r"Plan2Explore.members = 1 cannot disagree"):
        make(members=1)
