"""Exploration by disagreement."""

import pytest
import torch

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.actor_critics.plan2explore import Plan2Explore
from framework.errors import UserError
from framework.testing.samples import LATENT, ROWS, TIMES, behavior_sizes, normal, replayed, replayed_noise, seeded
from tests.actor_critics.worlds import latent_at, random_rollout, still
from tests.members import factory

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


@pytest.mark.parametrize("spread", ["variance", "deviation", "log_deviation"])
def test_disagreement_is_the_spread_of_the_predictions(spread):
    behavior, features, action = make(spread=spread), normal(5, FEATURES), normal(5, ACTION, seed=1)
    predictions = [member(torch.cat([features, action], dim=-1)) for member in behavior.ensemble]
    mean = sum(predictions) / 3
    variance = sum((each - mean).square() for each in predictions) / 2
    deviation = variance.sqrt().mean(dim=-1)
    expected = {"variance": variance.mean(dim=-1), "deviation": deviation, "log_deviation": deviation.log()}[spread]
    assert torch.allclose(behavior.disagreement(features, action), expected, atol=1e-5)


def test_the_reward_of_an_imagined_step_has_the_disagreement_of_the_action_that_led_to_it():
    behavior, imagination = make(intrinsic=2.0, extrinsic=0.5), random_rollout(STARTS, HORIZON)
    behavior.losses(imagination, replayed(), replayed_noise())
    reward = behavior.of.arguments[0].reward
    assert reward.shape == (STARTS, HORIZON + 1)
    assert torch.allclose(reward[:, 0], 0.5 * imagination.reward[:, 0])
    for t in range(HORIZON):
        disagreement = behavior.disagreement(imagination.features[:, t], imagination.action[:, t])
        assert (disagreement > 0).all()
        assert torch.allclose(reward[:, t + 1], 0.5 * imagination.reward[:, t + 1] + 2.0 * disagreement)


def test_the_reward_of_a_replayed_step_has_the_disagreement_but_for_the_first_of_an_episode():
    behavior, inferred = make(), replayed()
    behavior.losses(random_rollout(STARTS, HORIZON), inferred, replayed_noise())
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
    errors = []
    for b in range(ROWS):
        for t in range(1, TIMES):
            if not inferred.batch.is_first[b, t]:
                inputs = torch.cat([inferred.features[b, t - 1], inferred.batch.action[b, t]])
                errors.append(sum(0.5 * (member(inputs) - outcome[b, t]).square().sum() for member in behavior.ensemble))
    assert len(errors) == ROWS * (TIMES - 1) - 1
    losses, _ = behavior.losses(random_rollout(STARTS, HORIZON), inferred, replayed_noise())
    assert torch.allclose(losses["ensemble"].mean(), torch.stack(errors).mean(), rtol=1e-4)


def test_a_planner_in_it_plans_for_disagreement():
    """The world's own reward is largest without action."""
    planner = factory("actor_critics", "CEMPlanner", horizon=1, candidates=64, elites=4, iterations=6)
    behavior, features = make(of=planner), normal(5, FEATURES)
    imagine = still(lambda features, action: -100 * action.square().sum(dim=-1))
    action, _ = behavior.act(latent_at(features), behavior.initial(5), imagine, "mode", seeded(3))
    other = 2 * torch.rand(200, 5, ACTION, generator=seeded(4)) - 1
    disagreement = behavior.disagreement(features, action)
    assert (disagreement > behavior.disagreement(features.expand(200, -1, -1), other).quantile(0.9, dim=0)).all()


@pytest.mark.parametrize("spread", ["variance", "deviation", "log_deviation"])
def test_members_that_agree_have_no_disagreement_and_a_finite_gradient(spread):
    behavior, action = make(spread=spread), normal(5, ACTION).requires_grad_()
    for member in behavior.ensemble:
        member.load_state_dict(behavior.ensemble[0].state_dict())
    disagreement = behavior.disagreement(normal(5, FEATURES), action)
    assert disagreement.max() < 2e-6
    assert torch.autograd.grad(disagreement.sum(), action)[0].isfinite().all()


@pytest.mark.parametrize("gradient_is_needed", [True, False])
def test_the_reward_is_differentiable_in_actions_where_the_behavior_needs_it(gradient_is_needed):
    behavior, imagination = make(), random_rollout(STARTS, HORIZON)
    behavior.needs_dynamics_gradient = gradient_is_needed
    imagination.action.requires_grad_()
    behavior.losses(imagination, replayed(), replayed_noise())
    reward = behavior.of.arguments[0].reward
    assert reward.requires_grad == gradient_is_needed
    if gradient_is_needed:
        assert (torch.autograd.grad(reward[:, 1:].sum(), imagination.action)[0].abs().sum(dim=-1) > 0).all()


def test_it_refuses_two_groups_of_one_name():
    with pytest.raises(UserError, match=r"Plan2Explore and Plan2Explore in it both have a group of parameters named \['ensemble'\]"):
        make(of=factory("actor_critics", "Plan2Explore"))
