"""Dreamer V2's update equals the reference: the balanced KL, straight-through samples, and the losses of actor and value."""

from functools import partial

import numpy as np
import pytest
import torch
from dm_env import specs

from framework.actor_critics.mixed_gradient import MixedGradient
from framework.agent import Agent
from framework.dynamics.categorical_rssm import CategoricalRSSM
from framework.encoders.mlp_encoder import MLPEncoder
from framework.heads.continuation_head import ContinuationHead
from framework.heads.reward_head import RewardHead
from framework.optimizers.adam_w import AdamW
from framework.values.normal_value import NormalValue
from tests.reference import dreamer_v2 as v2
from tests.reference.copies import (
    BOUNDARIES,
    CONTINUOUS,
    DISCRETE,
    array,
    assert_equal,
    categorical_latents,
    generator,
    linears,
    perturb,
    sequences,
    specs_of,
)
from tests.reference.dreamer_v1 import continuation_nll, unit_normal_nll
from tests.reference.layers import elu_mlp, gradient_norm, sigmoid


def agent(seed: int, action: specs.Array, rho: float = 1.0) -> Agent:
    value = partial(NormalValue, layers=2, units=7, slow_rate=1.0, slow_every=100)
    built = Agent(
        specs=specs_of(action),
        encoder=partial(MLPEncoder, layers=1, units=7, size=5),
        dynamics=partial(CategoricalRSSM, deterministic=6, groups=3, classes=4, hidden=7),
        heads={"reward": partial(RewardHead, layers=2, units=7), "continuation": partial(ContinuationHead, layers=2, units=7)},
        objectives=[],
        actor_critic=partial(MixedGradient, value=value, layers=2, units=7, mix=rho),
        optimizers={name: partial(AdamW, learning_rate=1e-3) for name in ("model", "actor", "value")},
        horizon=4,
    )
    perturb(built, seed)
    return built


def copied(rssm: CategoricalRSSM) -> v2.CategoricalRSSM:
    weights = {name: array(value) for name, value in rssm.state_dict().items()}

    def layer(name: str) -> tuple[np.ndarray, np.ndarray]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    return v2.CategoricalRSSM(
        input=layer("input"),
        gru=layer("cell.gates"),
        gru_norm=layer("cell.norm"),
        prior=(layer("prior_hidden"), layer("prior_out")),
        posterior=(layer("posterior_hidden"), layer("posterior_out")),
        classes=4,
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_losses_of_the_world_model_equal_the_reference(seed, boundary):
    tested, batch = agent(seed, DISCRETE), sequences(seed, boundary, DISCRETE)
    noise = tested.draw_noise(batch, generator(seed))
    output = tested.world_model(batch, noise.posterior, noise.key)

    embedding = elu_mlp(array(batch.observation["vector"]), linears(tested.world_model.encoder))
    features, posterior, prior = v2.observe(
        copied(tested.world_model.dynamics), embedding, array(batch.action), array(batch.is_first), array(noise.posterior)
    )
    reward, continuation = (elu_mlp(features, linears(tested.world_model.heads[name]))[..., 0] for name in ("reward", "continuation"))
    assert_equal(output.inferred.features, features)
    assert_equal(output.losses["kl"].mean(), v2.kl_loss(posterior, prior))
    assert_equal(output.losses["reward"], unit_normal_nll(array(batch.reward), reward))
    assert_equal(output.losses["continuation"], continuation_nll(array(batch.is_terminal), continuation))
    assert_equal(output.metrics["model/kl_nats"], v2.categorical_kl(posterior, prior).mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_the_kl_is_balanced(seed):
    dynamics = CategoricalRSSM(embedding_size=5, action_size=3, deterministic=6, groups=3, classes=4, hidden=7)
    latents = categorical_latents(seed, groups=3, classes=4)
    logits = [latent.statistics["logits"] for latent in latents]
    posterior, prior = (array(each) for each in logits)
    losses, _ = dynamics.kl_loss(*latents)
    assert v2.categorical_kl(posterior, prior).mean() > v2.FREE_NATS
    assert_equal(losses["kl"].mean(), v2.kl_loss(posterior, prior))
    expected = v2.kl_gradients(posterior, prior, of_prior=0.8, of_posterior=0.2)
    for gradient, wanted in zip(torch.autograd.grad(losses["kl"].sum(), logits), expected, strict=True):
        assert_equal(gradient, wanted)


@pytest.mark.parametrize(
    ("action", "policy_of", "rho"),
    [(DISCRETE, v2.OneHotPolicy, 1.0), (CONTINUOUS, v2.TruncatedNormalPolicy, 0.0), (CONTINUOUS, v2.TruncatedNormalPolicy, 0.4)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_update_has_the_losses_of_the_reference(seed, action, policy_of, rho):
    """From the noise of the update alone; the gradient of the score function by differences, with the returns held."""
    tested, batch = agent(seed, action, rho), sequences(seed, "a terminal step inside", action)
    world, behavior = tested.world_model, tested.behavior
    noise = tested.draw_noise(batch, generator(seed))
    modules = (behavior.actor, behavior.value.net, behavior.value.slow, world.heads["reward"], world.heads["continuation"])
    rssm, (actor, value, slow, reward, continuation) = copied(world.dynamics), [linears(module) for module in modules]
    start = array(world(batch, noise.posterior, noise.key).inferred.features).reshape(15, -1)
    action_noise = array(noise.imagined_actions)
    features, actions = v2.imagine(
        rssm, start, lambda step, now: policy_of(now, actor).sample(action_noise[step]), array(noise.imagined_latents)
    )
    rewards, logits, slow_values = (elu_mlp(features, layers)[..., 0] for layers in (reward, continuation, slow))
    returns, weight = v2.returns_and_weights(rewards, sigmoid(logits), slow_values)

    def of_actor(layers):
        policy = policy_of(features[:, :-2], layers)
        return v2.actor_loss(policy.log_density(actions[:, :-1]), policy.entropy(), returns, slow_values, weight, rho).mean()

    def of_value(layers):
        return v2.value_loss(elu_mlp(features, layers)[..., 0], returns, weight).mean()

    metrics = tested.update(batch, noise)
    assert_equal(metrics["train/actor_loss"], of_actor(actor))
    assert_equal(metrics["train/value_loss"], of_value(value))
    assert_equal(metrics["train/value_gradient_norm"], gradient_norm(of_value, value))
    if rho == 1:
        assert_equal(metrics["train/actor_gradient_norm"], gradient_norm(of_actor, actor))
