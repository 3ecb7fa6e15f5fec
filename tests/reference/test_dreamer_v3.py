"""Dreamer V3's update equals the reference: block GRU, unimix, two-hot heads, return scale, replayed value, and the optimizer's steps."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from dm_env import specs

from framework.actor_critics.reinforce import Reinforce
from framework.agent import Agent
from framework.dynamics.block_rssm import BlockRSSM
from framework.encoders.mlp_encoder import MLPEncoder
from framework.heads.continuation_head import ContinuationHead
from framework.heads.two_hot_reward_head import TwoHotRewardHead
from framework.optimizers.la_prop import LaProp
from framework.values.two_hot_value import TwoHotValue
from tests.reference import dreamer_v2 as v2
from tests.reference import dreamer_v3 as v3
from tests.reference.copies import (
    BOUNDARIES,
    CONTINUOUS,
    DISCRETE,
    array,
    assert_equal,
    categorical_latents,
    generator,
    linears,
    norm_scales,
    normal,
    perturb,
    sequences,
    specs_of,
    two_hot_around,
)
from tests.reference.dreamer_v1 import continuation_nll
from tests.reference.layers import elu_mlp, gradient_norm, sigmoid, silu_mlp


def agent(seed: int, action: specs.Array, discount: float = v3.DISCOUNT) -> Agent:
    value = partial(TwoHotValue, layers=1, units=7, bins=41)
    built = Agent(
        specs=specs_of(action),
        encoder=partial(MLPEncoder, layers=1, units=7, size=5),
        dynamics=partial(BlockRSSM, deterministic=6, hidden=7, groups=3, classes=4, blocks=2),
        heads={
            "reward": partial(TwoHotRewardHead, layers=1, units=7, bins=41),
            "continuation": partial(ContinuationHead, layers=1, units=7, activation="silu", norm="rms"),
        },
        objectives=[],
        actor_critic=partial(Reinforce, value=value, layers=1, units=7, discount=discount),
        optimizers={name: partial(LaProp, learning_rate=1e-3) for name in ("model", "actor", "value")},
        horizon=4,
    )
    perturb(built, seed)
    two_hot_around(built.world_model.heads["reward"].net.net[-1], center=6.0)
    for net in (built.behavior.value.net, built.behavior.value.slow.copy):
        two_hot_around(net.net[-1], center=7.0)
    return built


def copied(rssm: BlockRSSM) -> dict:
    weights = {name: array(value) for name, value in rssm.state_dict().items()}

    def layer(name: str, norm: str | None = None) -> tuple[np.ndarray, ...]:
        scale = () if norm is None else (weights[f"{norm}.weight"],)
        return weights[f"{name}.weight"], weights[f"{name}.bias"], *scale

    return {
        "from_deterministic": layer("summary.0.0", "summary.0.1"),
        "from_stochastic": layer("summary.1.0", "summary.1.1"),
        "from_action": layer("from_action.0", "from_action.1"),
        "mixing": layer("mixing", "mixing_norm"),
        "gates": layer("gates"),
        "prior": (layer("prior.0", "prior.1"), layer("prior.3", "prior.4"), layer("prior.6")),
        "posterior": (layer("posterior_hidden", "posterior_norm"), layer("posterior_out")),
        "classes": 4,
    }


def predictor(module: torch.nn.Module):
    """The perceptron of a module, with its weights as they are now."""
    layers, scales = linears(module), norm_scales(module)
    return lambda features: silu_mlp(features, layers, scales)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_losses_of_the_world_model_equal_the_reference(seed, boundary):
    tested, batch = agent(seed, CONTINUOUS), sequences(seed, boundary)
    batch.action.mul_(3)  # beyond 1, where the dynamics scales them back
    noise = tested.draw_noise(batch, generator(seed))
    output = tested.world_model(batch, noise.posterior, noise.key)

    embedding = elu_mlp(array(batch.observation["vector"]), linears(tested.world_model.encoder))
    features, posterior, prior = v3.observe(
        copied(tested.world_model.dynamics), embedding, array(batch.action), array(batch.is_first), array(noise.posterior)
    )
    reward, continuation = (predictor(tested.world_model.heads[name])(features) for name in ("reward", "continuation"))
    assert_equal(output.inferred.features, features)
    assert_equal(1.1 * output.losses["kl"], v3.kl_loss(posterior, prior))
    assert_equal(output.losses["reward"], v3.two_hot_nll(array(batch.reward), reward))
    assert_equal(output.losses["continuation"], continuation_nll(array(batch.is_terminal), continuation[..., 0]))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_kl_trains_the_prior_with_weight_1_and_the_posterior_with_a_tenth(seed):
    dynamics = BlockRSSM(embedding_size=5, action_size=3, deterministic=6, hidden=7, groups=3, classes=4, blocks=2)
    latents = categorical_latents(seed, groups=3, classes=4)
    logits = [latent.statistics["logits"] for latent in latents]
    posterior, prior = (array(each) for each in logits)
    losses, _ = dynamics.kl_loss(*latents)
    charged = (v2.categorical_kl(posterior, prior) > v3.FREE_NATS)[..., None]
    assert charged.any()
    assert not charged.all()
    assert_equal(dynamics.kl_scale * losses["kl"], v3.kl_loss(posterior, prior))
    expected = v2.kl_gradients(posterior, prior, of_prior=1.0, of_posterior=0.1)
    for gradient, wanted in zip(torch.autograd.grad(dynamics.kl_scale * losses["kl"].sum(), logits), expected, strict=True):
        assert_equal(gradient, charged * wanted)


@pytest.mark.parametrize(("action", "policy_of"), [(DISCRETE, v3.OneHotPolicy), (CONTINUOUS, v3.BoundedNormalPolicy)])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_two_updates_have_the_losses_of_the_reference(boundary, action, policy_of):
    """From the noise of each update alone; the gradient of the actor by differences, with returns and baseline held."""
    tested, scale = agent(0, action), 0.0
    world, behavior = tested.world_model, tested.behavior
    for seed in (0, 1):
        batch = sequences(seed, boundary, action)
        noise = tested.draw_noise(batch, generator(seed))
        noise = replace(noise, imagined_actions=noise.imagined_actions * (1.0 if action is DISCRETE else 0.05))
        rssm, actor, scales, action_noise = (
            copied(world.dynamics),
            linears(behavior.actor),
            norm_scales(behavior.actor),
            array(noise.imagined_actions),
        )
        value, slow, reward, going_on = (
            predictor(module) for module in (behavior.value.net, behavior.value.slow, world.heads["reward"], world.heads["continuation"])
        )
        replayed = array(world(batch, noise.posterior, noise.key).inferred.features)
        features, actions = v3.imagine(
            rssm,
            replayed.reshape(15, -1),
            lambda step, now: policy_of(now, actor, scales).sample(action_noise[step]),
            array(noise.imagined_latents),
        )
        values = v3.two_hot_mean(value(features))
        returns, weight = v3.imagined_returns(v3.two_hot_mean(reward(features)), sigmoid(going_on(features)[..., 0]), values)
        scale = v3.return_range(returns, scale)

        def of_actor(layers):
            policy = policy_of(features[:, :-1], layers, scales)
            return v3.actor_loss(policy.log_density(actions), policy.entropy(), returns, values, weight, scale).mean()

        imagined = (weight * v3.value_loss(value(features[:, :-1]), slow(features[:, :-1]), returns)).mean()
        steps = [array(each) for each in (batch.reward, batch.is_first, batch.is_terminal)]
        of_replay = v3.replay_value_loss(value(replayed), slow(replayed), returns[:, 0].reshape(3, 5), steps).mean()

        metrics = tested.update(batch, noise)
        assert scale > 1
        assert_equal(metrics["behavior/return_scale"], scale)
        assert_equal(metrics["train/actor_loss"], of_actor(actor))
        assert_equal(metrics["train/value_loss"], imagined + v3.REPLAY_VALUE * of_replay)


@pytest.mark.parametrize("warm_up", [0, 3])
def test_the_steps_of_the_optimizer_equal_the_reference(warm_up):
    shapes, rate = [(4, 3), (5,)], 0.1
    parameters = [torch.nn.Parameter(normal(number, *shape)) for number, shape in enumerate(shapes)]
    starts = [array(parameter) for parameter in parameters]
    optimizer = LaProp(parameters=parameters, learning_rate=rate, warmup=warm_up)
    gradients = [
        [size * normal(10 * step + number, *shape) for number, shape in enumerate(shapes)] for step, size in enumerate((0.1, 3, 0.3, 1))
    ]
    for each in gradients:
        optimizer.step(each)
    for number, parameter in enumerate(parameters):
        assert_equal(parameter, v3.laprop(starts[number], [array(each[number]) for each in gradients], rate, warm_up))
