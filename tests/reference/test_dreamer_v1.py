"""Dreamer V1's update equals the reference: the world model's losses, imagination, and the losses of actor and value."""

from functools import partial

import numpy as np
import pytest
import torch
from dm_env import specs

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.agent import Agent
from framework.data import ActionSpec, Imagination, LatentSpec
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.encoders.mlp_encoder import MLPEncoder
from framework.heads.continuation_head import ContinuationHead
from framework.heads.image_head import ImageHead
from framework.heads.reward_head import RewardHead
from framework.optimizers.adam import Adam
from framework.values.normal_value import NormalValue
from tests.reference import dreamer_v1 as v1
from tests.reference.copies import (
    BOUNDARIES,
    CONTINUOUS,
    array,
    assert_equal,
    generator,
    inferred_batch,
    linears,
    normal,
    perturb,
    sequences,
    specs_of,
)
from tests.reference.layers import elu_mlp, gradient_norm

LATENT = LatentSpec(deterministic=6, stochastic=4, kind="gaussian")


def behavior() -> DynamicsBackprop:
    value = partial(NormalValue, layers=2, units=7)
    action = ActionSpec(kind="continuous", sizes=(2,))
    return DynamicsBackprop(latent=LATENT, action=action, embedding_size=5, value=value, layers=2, units=7)


def agent(seed: int, *names: str) -> Agent:
    heads = {"reward": partial(RewardHead, layers=2, units=7), "continuation": partial(ContinuationHead, layers=3, units=7)}
    built = Agent(
        specs=specs_of(CONTINUOUS),
        encoder=partial(MLPEncoder, layers=1, units=7, size=5),
        dynamics=partial(GaussianRSSM, deterministic=6, stochastic=4, hidden=7),
        heads={name: heads[name] for name in names},
        objectives=[],
        actor_critic=partial(DynamicsBackprop, value=partial(NormalValue, layers=2, units=7), layers=2, units=7),
        optimizers={name: partial(Adam, learning_rate=1e-3) for name in ("model", "actor", "value")},
        horizon=4,
    )
    perturb(built, seed)
    return built


def copied(rssm: GaussianRSSM) -> v1.GaussianRSSM:
    weights = {name: array(value) for name, value in rssm.state_dict().items()}

    def joined(first: str, second: str) -> np.ndarray:
        return np.concatenate([weights[f"{first}.weight"], weights[f"{second}.weight"]], axis=1)

    def layer(name: str) -> tuple[np.ndarray, np.ndarray]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    return v1.GaussianRSSM(
        input=(joined("from_latent", "from_action"), weights["from_latent.bias"]),
        gru_input=(weights["cell.weight_ih"], weights["cell.bias_ih"]),
        gru_hidden=(weights["cell.weight_hh"], weights["cell.bias_hh"]),
        prior=(layer("prior_hidden"), layer("prior_statistics")),
        posterior=((joined("posterior_hidden", "from_embedding"), weights["posterior_hidden.bias"]), layer("posterior_statistics")),
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_losses_of_the_world_model_equal_the_reference(seed, boundary):
    tested, batch = agent(seed, "reward", "continuation"), sequences(seed, boundary)
    noise = tested.draw_noise(batch, generator(seed))
    output = tested.world_model(batch, noise.posterior, noise.key)

    embedding = elu_mlp(array(batch.observation["vector"]), linears(tested.world_model.encoder))
    features, posterior, prior = v1.observe(
        copied(tested.world_model.dynamics), embedding, array(batch.action), array(batch.is_first), array(noise.posterior)
    )
    heads = {name: elu_mlp(features, linears(head))[..., 0] for name, head in tested.world_model.heads.items()}
    reward, kl = v1.unit_normal_nll(array(batch.reward), heads["reward"]), v1.kl_loss(posterior, prior)
    continuation = v1.continuation_nll(array(batch.is_terminal), heads["continuation"])
    assert_equal(output.inferred.features, features)
    assert_equal(output.losses["kl"].mean(), kl)
    assert_equal(output.losses["reward"], reward)
    assert_equal(output.losses["continuation"], continuation)
    assert_equal(output.loss, kl + reward.mean() + continuation.mean())


@pytest.mark.parametrize("amount", [0.05, 2.0])
def test_free_nats_are_taken_from_the_mean_over_the_batch(amount):
    rssm = GaussianRSSM(embedding_size=5, action_size=2, deterministic=6, stochastic=4)
    prior, posterior = ((amount * normal(seed, 3, 5, 4), 1 + normal(seed + 1, 3, 5, 4).abs()) for seed in (0, 10))
    latents = [rssm.initial(15).map(lambda part: part.reshape(3, 5, -1)) for _ in range(2)]
    for latent, (mean, std) in zip(latents, (posterior, prior), strict=True):
        latent.statistics.update(mean=mean, std=std)
    losses, _ = rssm.kl_loss(*latents)
    copies = [tuple(array(part) for part in each) for each in (posterior, prior)]
    assert (v1.gaussian_kl(*copies).mean() > v1.FREE_NATS) == (amount > 1)
    assert_equal(losses["kl"].mean(), v1.kl_loss(*copies))


def test_the_loss_of_an_image_equals_the_reference():
    pixels = torch.randint(0, 256, (3, 5, 8, 8, 3), generator=generator(0), dtype=torch.uint8)
    target = {"pixels": specs.BoundedArray((8, 8, 3), np.uint8, 0, 255, name="pixels")}
    head = ImageHead(latent=LATENT, target=target, channels=(4,), kernels=(2, 6), base=8)
    features, batch = normal(1, 3, 5, 10), sequences(0, "one episode")
    batch.observation["pixels"] = pixels
    assert_equal(head.loss(features, batch), v1.image_nll(array(pixels), array(head(features).mean)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_update_has_the_losses_and_the_gradients_of_the_reference(seed):
    """From the noise of the update alone; gradients by differences, with the input of the policy and the targets of the value held."""
    tested, batch = agent(seed, "reward"), sequences(seed, "a time limit inside")
    world = tested.world_model
    noise = tested.draw_noise(batch, generator(seed))
    modules = (tested.behavior.actor, tested.behavior.value, world.heads["reward"])
    rssm, (actor, value, reward) = copied(world.dynamics), [linears(module) for module in modules]
    start = array(world(batch, noise.posterior, noise.key).inferred.features).reshape(15, -1)
    latent_noise, action_noise = array(noise.imagined_latents), array(noise.imagined_actions)

    def imagined_losses(layers, policy):
        features = v1.imagine(rssm, start, policy, latent_noise)
        rewards, values = (elu_mlp(features, each)[..., 0] for each in (reward, layers))
        return features, v1.behavior_losses(rewards, values, np.ones_like(rewards))

    features, (actor_loss, value_loss) = imagined_losses(value, lambda step, now: v1.tanh_normal_policy(now, actor, action_noise[step]))

    def of_actor(layers):
        _, losses = imagined_losses(value, lambda step, _: v1.tanh_normal_policy(features[:, step], layers, action_noise[step]))
        return losses[0].mean()

    rewards, values = (elu_mlp(features[:, 1:], each)[..., 0] for each in (reward, value))
    target = v1.lambda_return(rewards, values, np.full_like(rewards, v1.DISCOUNT))
    weight = v1.DISCOUNT ** np.arange(3)

    def of_value(layers):
        return (weight * v1.unit_normal_nll(target, elu_mlp(features[:, 1:-1], layers)[..., 0])).mean()

    metrics = tested.update(batch, noise)
    assert_equal(metrics["train/actor_loss"], actor_loss.mean())
    assert_equal(metrics["train/value_loss"], value_loss.mean())
    assert_equal(metrics["train/actor_gradient_norm"], gradient_norm(of_actor, actor))
    assert_equal(metrics["train/value_gradient_norm"], gradient_norm(of_value, value))


def rollouts(seed: int, first: float) -> Imagination:
    continuation = torch.sigmoid(3 * normal(seed, 6, 5))
    continuation[:3, 0], continuation[3:, 0] = 1.0, first
    return Imagination(
        action=normal(seed + 1, 6, 4, 2).tanh(),
        features=normal(seed + 2, 6, 5, 10),
        reward=normal(seed + 3, 6, 5),
        continuation=continuation,
    )


ITEM_8 = pytest.mark.xfail(strict=True, raises=AssertionError, reason="issue 14, item 8: the continuation of the start is left out")


@pytest.mark.parametrize("first", [1.0, pytest.param(0.0, marks=ITEM_8)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_losses_of_the_behavior_weigh_each_step_by_the_probability_of_reaching_it(seed, first):
    tested, imagination = behavior(), rollouts(seed, first)
    perturb(tested, seed)
    losses, _ = tested.losses(imagination, inferred_batch(seed), normal(seed, 3, 5, 2))
    value = elu_mlp(array(imagination.features), linears(tested.value))[..., 0]
    actor_loss, value_loss = v1.behavior_losses(array(imagination.reward), value, array(imagination.continuation))
    assert_equal(losses["actor"], actor_loss)
    assert_equal(losses["value"], value_loss)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="issue 14, item 20: a Glorot range for each part of a joined input")
def test_the_weights_of_joined_inputs_begin_in_one_glorot_range():
    """Keras's dense layer over `[z, a]`, and over `[h, e]`: `|W| <= sqrt(6 / (inputs + outputs))`."""
    rssm = copied(GaussianRSSM(embedding_size=50, action_size=2, deterministic=20, stochastic=30, hidden=200))
    for weight, _ in (rssm.input, rssm.posterior[0]):
        assert np.abs(weight).max() <= np.sqrt(6 / sum(weight.shape)) * (1 + 1e-6)
