"""The agent: each group of parameters has the gradient of its own loss, and a wrong composition is refused."""

import copy
from functools import partial

import pytest
import torch
from dm_env import specs

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.agent import Agent
from framework.errors import UserError
from framework.functional.random import new_key
from framework.imagination import imagine
from framework.optimizers.base import Optimizer
from framework.specs import Specs
from framework.testing.samples import OBSERVATIONS, ROWS, TIMES, batch, seeded, specs_of, update
from tests.members import agent_factory, factory, members

GROUPS = ("model", "actor", "value")
SCALES = {"kl": 0.5, "reward": 2.0, "continuation": 3.0, "infonce": 1.5}
SCALED = {
    "dynamics": factory("dynamics", "GaussianRSSM", kl_scale=0.5),
    "heads": {"reward": factory("heads", "RewardHead", scale=2.0), "continuation": factory("heads", "ContinuationHead", scale=3.0)},
    "objectives": [factory("objectives", "InfoNCE", scale=1.5)],
}


class Recording(Optimizer):
    """Keeps the gradients and takes no step."""

    def __init__(self, *, parameters) -> None:
        self.parameters, self.gradients = list(parameters), []

    def step(self, gradients):
        self.gradients.append(list(gradients))
        return {"gradient_norm": torch.zeros(())}

    def state_dict(self):
        return {}

    def load_state_dict(self, content) -> None:
        pass


class Keeping(DynamicsBackprop):
    """Keeps the rollouts of its losses."""

    def losses(self, imagination, inferred, noise):
        self.imagination = imagination
        return super().losses(imagination, inferred, noise)


def make(kind: str = "both", **changes) -> Agent:
    return agent_factory(**changes)(specs=specs_of(kind))


def recording(**changes) -> Agent:
    agent = make(**changes)
    agent.optimizers = {name: Recording(parameters=optimizer.parameters) for name, optimizer in agent.optimizers.items()}
    return agent


def losses_of(agent: Agent, data, generator):
    """The losses of an update, written out."""
    dynamics, behavior = agent.world_model.dynamics, agent.behavior
    output = agent.world_model(data, dynamics.draw_noise(ROWS, TIMES, generator=generator), new_key(generator))
    start, horizon = output.inferred.posterior.detach().flatten(), agent.horizon if behavior.imagines else 0
    with torch.set_grad_enabled(behavior.needs_dynamics_gradient):
        imagination = imagine(
            dynamics=dynamics,
            heads=dict(agent.world_model.heads.items()),
            policy=behavior.sample,
            start=start,
            latent_noise=dynamics.draw_noise(horizon, ROWS * TIMES, generator=generator),
            action_noise=behavior.draw_noise(horizon, ROWS * TIMES, generator=generator),
        )
    noise = behavior.draw_noise(ROWS, TIMES, generator=generator)
    losses = {name: loss.mean() for name, loss in behavior.losses(imagination, output.inferred, noise)[0].items()}
    model = sum(SCALES[name] * loss.mean() for name, loss in output.losses.items())
    return {"model": model + sum(losses[name] for name in behavior.shapes_model)} | losses


@pytest.mark.parametrize("actor_critic", members("actor_critics"))
def test_each_group_receives_the_gradient_of_its_own_loss_alone(actor_critic):
    agent = recording(**SCALED, actor_critic=factory("actor_critics", actor_critic))
    update(agent, batch(), seeded(7))
    losses = losses_of(agent, batch(), seeded(7))
    assert set(losses) == set(agent.optimizers) == {"model", *agent.behavior.groups}
    for name, optimizer in agent.optimizers.items():
        expected = torch.autograd.grad(losses[name], optimizer.parameters, retain_graph=True)
        assert len(optimizer.gradients) == 1
        for gradient, other in zip(optimizer.gradients[0], expected, strict=True):
            assert torch.allclose(gradient, other, rtol=1e-4, atol=1e-6), name


def test_the_gradient_of_the_model_does_not_depend_on_the_behavior():
    one, other = recording(), recording()
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        for parameter in other.behavior.parameters():
            parameter.mul_(-2.0)
    for agent in (one, other):
        update(agent, batch(), seeded(7))
    pairs = {name: list(zip(*(agent.optimizers[name].gradients[0] for agent in (one, other)), strict=True)) for name in GROUPS}
    assert all(torch.equal(left, right) for left, right in pairs["model"])
    assert not any(torch.equal(left, right) for left, right in pairs["actor"])


@pytest.mark.parametrize("actor_critic", members("actor_critics"))
def test_every_parameter_of_every_group_moves(actor_critic):
    agent = make(actor_critic=factory("actor_critics", actor_critic))
    before = {name: parameter.detach().clone() for name, parameter in agent.named_parameters() if parameter.requires_grad}
    generator = seeded(7)
    for _ in range(2):
        metrics = update(agent, batch(), generator)
    assert all(value.isfinite() and not value.requires_grad for value in metrics.values())
    assert sum(parameter.numel() for parameter in before.values()) == sum(agent.parameter_count().values())
    unmoved = [name for name, old in before.items() if torch.equal(dict(agent.named_parameters())[name], old)]
    assert unmoved == []


def test_a_frozen_encoder_does_not_move():
    def frozen(**sizes):
        return factory("encoders", "MLPEncoder")(**sizes).requires_grad_(False)

    agent = make("vectors", encoder=frozen)
    before = copy.deepcopy(agent.state_dict())
    update(agent, batch("vectors"), seeded(7))
    moved = {name for name, value in agent.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("world_model.encoder") for name in moved)


def test_a_parameter_that_no_loss_reaches_is_named():
    def idle(**sizes):
        encoder = factory("encoders", "MLPEncoder")(**sizes)
        encoder.register_parameter("unused", torch.nn.Parameter(torch.zeros(1)))
        return encoder

    with pytest.raises(UserError, match=r"'model' reaches unused of MLPEncoder: use them"):
        update(make("vectors", encoder=idle), batch("vectors"), seeded(7))


def test_the_loss_of_the_model_is_the_sum_of_its_losses_weighted_by_the_scales_of_their_components():
    agent = make(**SCALED)
    metrics = update(agent, batch(), seeded(7))
    assert agent.world_model.loss_scales == SCALES
    assert {name for name in metrics if name.startswith("model/") and name.endswith("_loss")} == {f"model/{name}_loss" for name in SCALES}
    for name in GROUPS:
        assert f"train/{name}_loss" in metrics
        assert metrics[f"train/{name}_gradient_norm"] > 0
    total = sum(scale * metrics[f"model/{name}_loss"] for name, scale in SCALES.items())
    assert torch.allclose(metrics["train/model_loss"], total, atol=1e-5)


@pytest.mark.parametrize(("starts", "count"), [(None, ROWS * TIMES), (4, 4), (1000, ROWS * TIMES)])
def test_rollouts_start_from_detached_latents_of_the_batch(starts, count):
    behavior = partial(Keeping, **factory("actor_critics", "DynamicsBackprop").keywords)
    agent = recording(actor_critic=behavior, imagination_starts=starts)
    update(agent, batch(), seeded(7))
    noise = agent.world_model.dynamics.draw_noise(ROWS, TIMES, generator=seeded(7))
    posterior = agent.world_model.observe(batch(), noise).posterior
    rolled, features = agent.behavior.imagination.features, posterior.flatten().features
    assert rolled.shape[:2] == (count, agent.horizon + 1)
    distance = (rolled[:, :1] - features[None]).abs().amax(dim=-1)
    assert (distance.min(dim=1).values == 0).all()
    assert len(distance.argmin(dim=1).unique()) == count
    of_start = torch.autograd.grad(rolled.sum(), agent.world_model.encoder.parameters(), allow_unused=True)
    assert all(gradient is None for gradient in of_start)


def test_acting_carries_the_latent_and_the_action():
    agent, data = make(), batch()
    carry = agent.initial(ROWS)
    observation = {name: value[:, 0] for name, value in data.observation.items()}
    action, after = agent.act(carry, observation, data.is_first[:, 0], "explore", seeded())
    assert not carry.action.any()
    assert torch.equal(after.action, action)
    assert action.shape == (ROWS, 2)
    assert not torch.equal(after.latent.features, carry.latent.features)
    assert not after.latent.features.requires_grad


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizers": {"model": factory("optimizers", "Adam")}}, r"Agent.optimizers has \['model'\].*\['actor', 'model', 'value'\]"),
        ({"objectives": [factory("objectives", "InfoNCE")] * 2}, r"loss named \['infonce'\]"),
        ({"heads": {"continuation": factory("heads", "ContinuationHead")}}, "has no 'reward'"),
    ],
)
def test_it_refuses_parts_that_do_not_fit_together(changes, message):
    with pytest.raises(UserError, match=message):
        make(**changes)


def test_it_refuses_a_kind_of_action_that_the_behavior_cannot_take():
    discrete = Specs(observation=OBSERVATIONS["both"], action=specs.DiscreteArray(4))
    with pytest.raises(UserError, match=r"PolicyGradient takes continuous actions.*discrete"):
        agent_factory(actor_critic=factory("actor_critics", "PolicyGradient"))(specs=discrete)
