"""The contract of actor-critics, on rollouts of a small model, for every kind of action."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any, Final

import pytest
import torch
from torch import Tensor

from framework.actor_critics.base import ActorCritic, Choose
from framework.data import Factory, Imagination, InferredBatch, Latent, Losses, Metrics
from framework.dynamics.base import Dynamics
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.heads.base import Head
from framework.heads.continuation_head import ContinuationHead
from framework.heads.reward_head import RewardHead
from framework.imagination import imagine
from framework.lab.members import Member
from framework.specs import ActionKind
from framework.testing.checks import assert_losses, assert_metrics
from framework.testing.contract import Contract
from framework.testing.samples import ACTIONS, LATENT, ROWS, TIMES, actions, behavior_sizes, latent, normal, replayed, seeded

HEADS: Final[Mapping[str, Factory[Head]]] = {
    "reward": partial(RewardHead, layers=1, units=8),
    "continuation": partial(ContinuationHead, layers=1, units=8),
}
HORIZON, STARTS, MANY_STARTS = 4, ROWS * TIMES, 65


@dataclass(frozen=True)
class World:
    """A small model and a behavior."""

    dynamics: Dynamics
    heads: dict[str, Head]
    behavior: ActorCritic
    kind: ActionKind

    def rollout(self, start: Latent, choose: Choose, noise: Tensor, generator: torch.Generator) -> Imagination:
        latent_noise = self.dynamics.draw_noise(*noise.shape[:2], generator=generator)
        return imagine(dynamics=self.dynamics, heads=self.heads, policy=choose, start=start, latent_noise=latent_noise, action_noise=noise)

    def random_latent(self, size: int, scale: float = 1.0) -> Latent:
        return latent(size, spec=self.dynamics.latent).map(lambda tensor: scale * tensor)

    def act(self, start: Latent, mode: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        plan = self.behavior.initial(start.stochastic.shape[0])
        return self.behavior.act(start, plan, self.imagine, mode, generator)

    @torch.no_grad()
    def imagine(self, start: Latent, choose: Choose, noise: Tensor, generator: torch.Generator) -> Imagination:
        return self.rollout(start, choose, noise, generator)

    def replayed(self, rows: int = ROWS) -> InferredBatch:
        return replayed(self.dynamics.latent, self.kind, rows=rows)

    def losses(self, imagination: Imagination, inferred: InferredBatch | None = None) -> tuple[Losses, Metrics]:
        inferred = self.replayed() if inferred is None else inferred
        noise = self.behavior.draw_noise(*inferred.batch.reward.shape, generator=seeded(8))
        return self.behavior.losses(imagination, inferred, noise)

    def rollouts(self) -> Imagination:
        """One from each replayed step."""
        noise = self.behavior.draw_noise(HORIZON if self.behavior.imagines else 0, STARTS, generator=seeded(2))
        return self.rollout(latent(STARTS, spec=self.dynamics.latent), self.behavior.sample, noise, seeded(1))


def is_action(action: Tensor, kind: ActionKind) -> bool:
    if kind == "continuous":
        return bool((action.abs() <= 1).all())
    groups = action.split(ACTIONS[kind].sizes, dim=-1)
    return all(bool(((group == 0) | (group == 1)).all() and (group.sum(dim=-1) == 1).all()) for group in groups)


def actor_gradient(world: World, rollouts: Imagination) -> list[Tensor]:
    losses, _ = world.losses(rollouts)
    parameters = world.behavior.group("actor")
    if not losses["actor"].requires_grad:
        return [torch.zeros_like(each) for each in parameters]
    return list(torch.autograd.grad(losses["actor"].mean(), parameters, allow_unused=True, materialize_grads=True))


def policy_means(world: World, features: Tensor) -> Tensor:
    """The mean first number of many actions."""
    noise = world.behavior.draw_noise(MANY_STARTS, 4, generator=seeded(7))
    return world.behavior.sample(features, noise)[..., 0].mean()


def rewarded(inferred: InferredBatch, kind: ActionKind) -> InferredBatch:
    """The reward of a step is the first number of the action that led to it."""
    action = actions(kind, *inferred.batch.reward.shape, seed=9).masked_fill(inferred.batch.is_first[..., None], 0.0)
    return replace(inferred, batch=replace(inferred.batch, action=action, reward=action[..., 0]))


def start_of(rollouts: Imagination) -> Imagination:
    first = {name: getattr(rollouts, name)[:, :1] for name in ("features", "reward", "continuation")}
    return Imagination(action=rollouts.action[:, :0], **first)


def kinds_of(member: Member) -> tuple[ActionKind, ...]:
    """A behavior around another has the kinds of that one."""
    kinds: tuple[ActionKind, ...] = member.build(**behavior_sizes(LATENT)).action_kinds
    return kinds


class ActorCriticContract(Contract):
    """The contract of actor-critics, on rollouts of a small model, for every kind of action."""

    family = "actor_critics"

    @pytest.fixture(params=list(ACTIONS))
    def kind(self, request) -> ActionKind:
        return request.param

    @pytest.fixture
    def world(self, member: Member, kind) -> World:
        action_size = ACTIONS[kind].size
        dynamics = GaussianRSSM(embedding_size=5, action_size=action_size, deterministic=6, stochastic=4, hidden=8, free_nats=0.0)
        heads = {name: head(latent=dynamics.latent) for name, head in HEADS.items()}
        if kind not in kinds_of(member):
            pytest.skip(f"it takes no {kind} actions")
        return World(dynamics, heads, member.build(**behavior_sizes(dynamics.latent, kind)), kind)

    @pytest.fixture
    def imagination(self, world) -> Imagination:
        with torch.set_grad_enabled(world.behavior.needs_dynamics_gradient):
            return world.rollouts()

    @pytest.mark.parametrize("mode", ["explore", "mode"])
    def test_it_acts_within_the_bounds_of_actions_as_the_generator_determines(self, world, mode):
        start = world.random_latent(50, scale=10.0)
        action, plan = world.act(start, mode, seeded(3))
        assert action.shape == (50, ACTIONS[world.kind].size)
        assert action.dtype == torch.float32
        assert is_action(action, world.kind)
        assert action.std(dim=0).max() > 0
        assert plan.shape == world.behavior.initial(50).shape
        assert not action.requires_grad
        assert not plan.requires_grad
        torch.manual_seed(99)
        assert all(torch.equal(one, other) for one, other in zip(world.act(start, mode, seeded(3)), (action, plan), strict=True))
        if mode == "explore":
            assert not torch.equal(world.act(start, mode, seeded(4))[0], action)

    @pytest.mark.parametrize("leading", [(3,), (2, 3)])
    def test_a_sample_is_a_function_of_features_and_noise(self, world, leading):
        features = normal(*leading, world.dynamics.latent.feature_size)
        noise, other = (world.behavior.draw_noise(*leading, generator=seeded(seed)) for seed in (1, 4))
        action = world.behavior.sample(features, noise)
        assert action.shape == (*leading, ACTIONS[world.kind].size)
        assert is_action(action.detach().round(decimals=5), world.kind)
        assert torch.equal(action, world.behavior.sample(features, noise))
        assert not torch.equal(action, world.behavior.sample(features, other))

    def test_it_has_one_loss_for_each_group_in_their_order(self, world, imagination):
        losses, metrics = world.losses(imagination)
        assert tuple(losses) == world.behavior.groups
        assert set(world.behavior.shapes_model) <= set(losses)
        assert_losses(world.behavior, losses, world.behavior.groups)
        assert_metrics(world.behavior, metrics)
        wrong = [name for name in metrics if not name.startswith("behavior/")]
        assert not wrong, f"the metric '{wrong[0]}' must begin with 'behavior/'"

    def test_its_groups_partition_the_trained_parameters(self, world):
        groups = [{id(parameter) for parameter in world.behavior.group(name)} for name in world.behavior.groups]
        trained = {id(parameter) for parameter in world.behavior.parameters() if parameter.requires_grad}
        assert set().union(*groups) == trained
        assert not any(one & other for one, other in combinations(groups, 2))

    def test_each_loss_reaches_every_parameter_of_its_group_and_but_for_the_actors_no_other(self, world, imagination):
        behavior = world.behavior
        model_parameters = [each for part in (world.dynamics, *world.heads.values()) for each in part.parameters()]
        losses, _ = world.losses(imagination)
        for name in behavior.groups:
            own = torch.autograd.grad(losses[name].mean(), behavior.group(name), retain_graph=True)
            assert own
            assert all(gradient.abs().sum() > 0 for gradient in own), f"the loss '{name}' does not reach every parameter of its group"
            if name != "actor":
                others = [each for group in behavior.groups if group != name for each in behavior.group(group)]
                gradients = torch.autograd.grad(losses[name].mean(), [*others, *model_parameters], allow_unused=True, retain_graph=True)
                assert all(gradient is None or not gradient.any() for gradient in gradients), f"the loss '{name}' reaches others"

    def test_only_the_losses_that_shape_the_model_reach_replayed_latents(self, world, imagination):
        inferred = world.replayed()
        leaf = inferred.posterior.map(lambda tensor: tensor.clone().requires_grad_())
        embedding = inferred.embedding.clone().requires_grad_()
        losses, _ = world.losses(imagination, replace(inferred, posterior=leaf, embedding=embedding))
        leaves = [leaf.deterministic, leaf.stochastic, embedding]
        for name, loss in losses.items():
            gradients = torch.autograd.grad(loss.mean(), leaves, allow_unused=True, retain_graph=True)
            reached = any(gradient is not None and bool(gradient.any()) for gradient in gradients)
            assert reached == (name in world.behavior.shapes_model), f"the loss '{name}': `shapes_model` says otherwise"

    def test_a_rollout_from_a_terminal_latent_has_no_loss_of_the_actor_but_in_dreamer_v2(self, world, imagination):
        """Dreamer V2 weighs the start by 1, as released."""
        if not world.behavior.imagines:
            pytest.skip("nothing is imagined")
        imagination.continuation.data[2, 0] = 0.0
        actor = world.losses(imagination)[0]["actor"].any(dim=1)
        assert actor.sum() == len(actor) - (type(world.behavior).__name__ != "MixedGradient")

    def test_the_gradient_of_the_dynamics_changes_its_actors_gradient_exactly_where_it_declares_so(self, world, imagination):
        behavior = world.behavior
        assert imagination.features.requires_grad == behavior.needs_dynamics_gradient
        if "actor" not in behavior.groups:
            assert not behavior.needs_dynamics_gradient
            return
        attached = world.rollouts()
        parts = {name: value.detach() for name, value in vars(attached).items() if value is not None}
        detached = Imagination(**parts)
        with_dynamics, without = (actor_gradient(world, rollouts) for rollouts in (attached, detached))
        assert (
            any(not torch.equal(one, other) for one, other in zip(with_dynamics, without, strict=True)) == behavior.needs_dynamics_gradient
        )
        assert any(gradient.any() for gradient in with_dynamics)

    def test_an_actor_learns_to_act_for_reward(self, world, member):
        """Where the reward is the first number of the action before it, the policy moves toward larger ones."""
        behavior, kind = world.behavior, world.kind
        if "actor" not in behavior.groups or any(each.name == "of" for each in member.component.settings):
            pytest.skip("no policy of its own for this reward")
        optimizers = {name: torch.optim.Adam(behavior.group(name), lr=4e-2) for name in behavior.groups}
        generator, features = seeded(5), normal(MANY_STARTS, 4, world.dynamics.latent.feature_size, seed=6)
        inferred = rewarded(world.replayed(rows=MANY_STARTS // TIMES), kind)
        before = policy_means(world, features)
        for _ in range(15):
            action = behavior.sample(features[:, :3], behavior.draw_noise(MANY_STARTS, 3, generator=generator))
            action = action if behavior.needs_dynamics_gradient else action.detach()
            reward = torch.cat([torch.zeros(MANY_STARTS, 1), action[..., 0]], dim=1)
            rollouts = Imagination(action=action, features=features, reward=reward, continuation=torch.ones(MANY_STARTS, 4))
            losses, _ = world.losses(rollouts if behavior.imagines else start_of(rollouts), inferred)
            for name in behavior.groups:
                gradients = torch.autograd.grad(losses[name].mean(), behavior.group(name), retain_graph=True)
                for parameter, gradient in zip(behavior.group(name), gradients, strict=True):
                    parameter.grad = gradient
            for optimizer in optimizers.values():
                optimizer.step()
            behavior.after_update()
        assert policy_means(world, features) > before + 0.1
