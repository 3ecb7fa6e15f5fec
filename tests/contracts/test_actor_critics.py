"""What every actor-critic promises, on rollouts of a real, small model."""

from itertools import combinations

import pytest
import torch

from framework.data import Imagination
from framework.imagination import imagine
from tests.members import build
from tests.tiny import latent, normal, seeded

ACTION, HORIZON, STARTS = 2, 4, 6


@pytest.fixture
def model():
    dynamics = build("dynamics", "GaussianRSSM", embedding_size=5, action_size=ACTION)
    size = dynamics.latent.feature_size
    return dynamics, {name: build("heads", head, feature_size=size, target=None) for name, head in HEADS.items()}


HEADS = {"reward": "RewardHead", "continuation": "ContinuationHead"}


@pytest.fixture
def behaviour(actor_critic_name, model):
    return build("actor_critics", actor_critic_name, feature_size=model[0].latent.feature_size, action_size=ACTION)


@pytest.fixture
def imagination(behaviour, model) -> Imagination:
    dynamics, heads = model
    with torch.set_grad_enabled(behaviour.needs_dynamics_gradient):
        return imagine(
            dynamics=dynamics,
            heads=heads,
            policy=behaviour.sample,
            start=latent(STARTS, spec=dynamics.latent),
            latent_noise=dynamics.draw_noise(HORIZON, STARTS, generator=seeded(1)),
            action_noise=behaviour.draw_noise(HORIZON, STARTS, generator=seeded(2)),
        )


def is_action(action: torch.Tensor, behaviour) -> bool:
    if "continuous" in behaviour.action_kinds:
        return bool((action.abs() <= 1).all())
    return bool(((action == 0) | (action == 1)).all() and (action.sum(dim=-1) == 1).all())


@pytest.mark.parametrize("mode", ["explore", "mode"])
def test_it_acts_within_its_bounds(behaviour, model, mode):
    features = 10 * normal(50, model[0].latent.feature_size)
    action = behaviour.act(features, mode, seeded(3))
    assert action.shape == (50, ACTION)
    assert action.dtype == torch.float32
    assert not action.requires_grad
    assert is_action(action, behaviour)
    assert action.std(dim=0).min() > 0


@pytest.mark.parametrize("mode", ["explore", "mode"])
def test_the_generator_determines_the_action(behaviour, model, mode):
    features = normal(20, model[0].latent.feature_size)
    action = behaviour.act(features, mode, seeded(3))
    torch.manual_seed(99)
    assert torch.equal(behaviour.act(features, mode, seeded(3)), action)
    if mode == "explore":
        assert not torch.equal(behaviour.act(features, mode, seeded(4)), action)


@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_a_sample_is_a_function_of_features_and_noise(behaviour, model, leading):
    features = normal(*leading, model[0].latent.feature_size)
    noise, other = (behaviour.draw_noise(*leading, generator=seeded(seed)) for seed in (1, 2))
    action = behaviour.sample(features, noise)
    assert action.shape == (*leading, ACTION)
    assert is_action(action, behaviour)
    assert torch.equal(action, behaviour.sample(features, noise))
    assert not torch.equal(action, behaviour.sample(features, other))


def test_it_gives_a_loss_for_each_group_in_their_order(behaviour, imagination):
    losses, metrics = behaviour.losses(imagination)
    assert tuple(losses) == behaviour.groups
    for loss in losses.values():
        assert loss.shape[0] == STARTS
        assert loss.isfinite().all()
    for name, value in metrics.items():
        assert name.startswith("behavior/")
        assert value.dim() == 0
        assert value.isfinite()


def test_each_loss_reaches_every_parameter_of_its_group(behaviour, imagination):
    losses, _ = behaviour.losses(imagination)
    for name in behaviour.groups:
        gradients = torch.autograd.grad(losses[name].mean(), behaviour.group(name), retain_graph=True)
        assert gradients
        assert all(gradient.abs().sum() > 0 for gradient in gradients), name


def test_the_groups_hold_every_trained_parameter_once(behaviour):
    groups = [{id(parameter) for parameter in behaviour.group(name)} for name in behaviour.groups]
    trained = {id(parameter) for parameter in behaviour.parameters() if parameter.requires_grad}
    assert set.union(*groups) == trained
    assert not any(one & other for one, other in combinations(groups, 2))


def test_only_the_actor_may_learn_through_the_model(behaviour, imagination, model):
    """Whatever the graph holds, a value's loss ends at its own parameters."""
    dynamics, heads = model
    model_parameters = [*dynamics.parameters(), *heads["reward"].parameters(), *heads["continuation"].parameters()]
    losses, _ = behaviour.losses(imagination)
    for name in behaviour.groups:
        if name == "actor":
            continue
        others = [each for group in behaviour.groups if group != name for each in behaviour.group(group)]
        gradients = torch.autograd.grad(losses[name].mean(), [*others, *model_parameters], allow_unused=True, retain_graph=True)
        assert all(gradient is None or not gradient.any() for gradient in gradients), name


def test_it_needs_the_gradient_of_the_dynamics_only_if_it_says_so(behaviour, imagination):
    assert imagination.features.requires_grad == behaviour.needs_dynamics_gradient
    detached = Imagination(**{name: value.detach() for name, value in vars(imagination).items()})
    losses, _ = behaviour.losses(detached)
    reached = losses["actor"].requires_grad and any(
        gradient is not None and bool(gradient.any())
        for gradient in torch.autograd.grad(losses["actor"].mean(), behaviour.group("actor"), allow_unused=True)
    )
    assert reached != behaviour.needs_dynamics_gradient


def test_an_actor_learns_to_act_for_reward(behaviour, model):
    """In a model whose reward is the first action's first number, the policy moves towards larger ones."""
    dynamics, _ = model
    size = dynamics.latent.feature_size
    optimizers = {name: torch.optim.Adam(behaviour.group(name), lr=1e-2) for name in behaviour.groups}
    generator, features = seeded(5), normal(64, 3, size, seed=6)
    before = behaviour.act(features[:, 0], "mode", seeded(7))[:, 0].mean()
    for _ in range(60):
        action = behaviour.sample(features[:, :2], behaviour.draw_noise(64, 2, generator=generator))
        if not behaviour.needs_dynamics_gradient:
            action = action.detach()
        reward = torch.cat([torch.zeros(64, 1), action[..., 0]], dim=1)
        rolled = Imagination(action=action, features=features, reward=reward, continuation=torch.ones(64, 3))
        losses, _ = behaviour.losses(shifted(rolled) if behaviour.needs_dynamics_gradient else rolled)
        for name in behaviour.groups:
            gradients = torch.autograd.grad(losses[name].mean(), behaviour.group(name), retain_graph=True)
            for parameter, gradient in zip(behaviour.group(name), gradients, strict=True):
                parameter.grad = gradient
        for optimizer in optimizers.values():
            optimizer.step()
    assert behaviour.act(features[:, 0], "mode", seeded(7))[:, 0].mean() > before + 0.1


def shifted(rolled: Imagination) -> Imagination:
    """The start of a rollout may be left out of the losses: one more step before it."""
    return Imagination(
        action=torch.cat([rolled.action[:, :1], rolled.action], dim=1),
        features=torch.cat([rolled.features[:, :1], rolled.features], dim=1),
        reward=torch.cat([torch.zeros(64, 1), rolled.reward], dim=1),
        continuation=torch.cat([rolled.continuation[:, :1], rolled.continuation], dim=1),
    )
