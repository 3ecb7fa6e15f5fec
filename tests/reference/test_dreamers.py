"""The updates of Dreamer V1, V2 and V3 equal their references, from copied weights and the noise of the update alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dm_env import specs

from framework.data import Imagination
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.heads.image_head import ImageHead
from framework.optimizers.la_prop import LaProp
from framework.specs import ActionSpec, LatentSpec, ModelSpecs
from framework.testing.samples import normal, seeded
from tests.reference import dreamer_v1 as v1
from tests.reference import dreamer_v2 as v2
from tests.reference import dreamer_v3 as v3
from tests.reference.agents import BEHAVIORS, DYNAMICS, build_agent, imagine_by_reference, observe_by_reference, reference_of
from tests.reference.copies import (
    BOUNDARIES,
    CONTINUOUS,
    DISCRETE,
    VECTOR,
    array,
    assert_equal,
    categorical_latent,
    gaussian_latent,
    inferred_batch,
    perceptron,
    perturb,
    sequences,
)
from tests.reference.layers import bernoulli_nll, imagine, sigmoid, unit_normal_nll

LATENT = LatentSpec(deterministic=6, stochastic=4, kind="gaussian")
KL_LOSSES = {1: v1.kl_loss, 2: v2.kl_loss, 3: v3.kl_loss}


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("version", "action"), [(1, CONTINUOUS), (2, DISCRETE), (3, CONTINUOUS)])
def test_the_losses_of_the_world_model_equal_the_reference(version, action, boundary):
    """Some of the continuous actions lie beyond 1, where Dreamer V3 scales them back."""
    agent, batch = build_agent(version, action), sequences(0, boundary, action)
    noise, world = agent.draw_noise(batch, seeded(0)), agent.world_model
    output = world(batch, noise.posterior, noise.key)
    features, posterior, prior = observe_by_reference(agent, batch, noise)
    reward, continuation = (perceptron(world.heads[name])(features) for name in ("reward", "continuation"))
    target = array(batch.reward)
    assert_equal(output.inferred.features, features)
    assert_equal(world.dynamics.kl_scale * output.losses["kl"].mean(), np.mean(KL_LOSSES[version](posterior, prior)))
    assert_equal(output.losses["reward"], v3.two_hot_nll(target, reward) if version == 3 else unit_normal_nll(target, reward[..., 0]))
    assert_equal(output.losses["continuation"], bernoulli_nll(1 - array(batch.is_terminal), continuation[..., 0]))


@pytest.mark.parametrize(("distance", "is_above"), [(0.1, False), (3.0, True)])
def test_dreamer_v1_takes_its_free_nats_from_the_mean_over_the_batch(distance, is_above):
    posterior, prior = gaussian_latent(0), gaussian_latent(0)
    prior.statistics["mean"] += distance * normal(3, 5, 4, seed=1)
    losses, _ = GaussianRSSM(embedding_size=5, action_size=2).kl_loss(posterior, prior)
    expected = v1.kl_loss(*(array(torch.cat([*latent.statistics.values()], dim=-1)) for latent in (posterior, prior)))
    assert (expected > v1.FREE_NATS) == is_above
    assert_equal(losses["kl"].mean(), expected)


@pytest.mark.parametrize(("version", "of_prior", "of_posterior"), [(2, 0.8, 0.2), (3, 1.0, 0.1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_kl_trains_the_prior_more_than_the_posterior(version, of_prior, of_posterior, seed):
    dynamics = DYNAMICS[version](embedding_size=5, action_size=3)
    latents = categorical_latent(seed), categorical_latent(seed + 1)
    logits = [latent.statistics["logits"] for latent in latents]
    loss = dynamics.kl_scale * dynamics.kl_loss(*latents)[0]["kl"]
    posterior, prior = (array(each) for each in logits)
    kl = v2.categorical_kl(posterior, prior)
    assert kl.min() < 1 < kl.mean()
    assert_equal(loss.mean(), np.mean(KL_LOSSES[version](posterior, prior)))
    gradients, is_above = torch.autograd.grad(loss.sum(), logits), (kl > 1)[..., None] if version == 3 else 1
    for gradient, expected in zip(gradients, v2.kl_gradients(posterior, prior, of_prior, of_posterior), strict=True):
        assert_equal(gradient, is_above * expected)


def test_the_loss_of_an_image_equals_the_reference():
    pixels = torch.randint(0, 256, (3, 5, 8, 8, 3), generator=seeded(0), dtype=torch.uint8)
    target = {"pixels": specs.BoundedArray((8, 8, 3), np.uint8, 0, 255, name="pixels")}
    head = ImageHead(latent=LATENT, target=target, channels=(4,), kernels=(2, 6), base=8)
    features, batch = normal(3, 5, 10, seed=1), sequences(0, "one episode")
    batch.observation["pixels"] = pixels
    assert_equal(head.loss(features, batch), v1.image_nll(array(pixels), array(head(features).mean)))


@pytest.mark.parametrize("seed", [0, 1])
def test_an_update_of_dreamer_v1_has_the_losses_and_the_gradients_of_the_reference(seed):
    """Gradients by differences, with the inputs of the policy and the targets of the value constant."""
    agent, batch = build_agent(1, CONTINUOUS, seed, without="continuation"), sequences(seed, "a time limit inside")
    noise, model = agent.draw_noise(batch, seeded(seed)), reference_of(agent.world_model.dynamics)
    modules = agent.behavior.actor, agent.behavior.value, agent.world_model.heads["reward"]
    (actor, value, reward), action_noise = map(perceptron, modules), array(noise.imagined_actions)
    start = observe_by_reference(agent, batch, noise)[0].reshape(15, -1)

    def rollout(policy):
        features, _ = imagine(model, start, policy, array(noise.imagined_latents))
        rewards, values = (function(features)[..., 0] for function in (reward, value))
        return features, *v1.returns_and_weights(rewards, values, np.ones_like(rewards))

    constant, returns, weight = rollout(lambda step, features: v1.tanh_normal_sample(actor(features), action_noise[step]))

    def actor_loss():
        _, reached, _ = rollout(lambda step, _: v1.tanh_normal_sample(actor(constant[:, step]), action_noise[step]))
        return v1.actor_loss(reached, weight).mean()

    def value_loss():
        return v1.value_loss(value(constant)[..., 0], returns, weight).mean()

    metrics = agent.update(batch, noise)
    assert_equal(metrics["train/actor_loss"], actor_loss())
    assert_equal(metrics["train/value_loss"], value_loss())
    assert_equal(metrics["train/actor_gradient_norm"], actor.gradient_norm(actor_loss))
    assert_equal(metrics["train/value_gradient_norm"], value.gradient_norm(value_loss))


@pytest.mark.parametrize("first", [1.0, 0.0])
def test_dreamer_v1_weighs_each_step_by_the_probability_of_reaching_it(first):
    behavior = BEHAVIORS[1](model=ModelSpecs(LATENT, 5, VECTOR, ActionSpec(kind="continuous", sizes=(2,))))
    perturb(behavior, 0)
    continuation = torch.sigmoid(3 * normal(6, 5))
    continuation[:, 0] = torch.tensor([1.0, 1.0, 1.0, first, first, first])
    action, features, reward = normal(6, 4, 2, seed=1).tanh(), normal(6, 5, 10, seed=2), normal(6, 5, seed=3)
    imagination = Imagination(action=action, features=features, reward=reward, continuation=continuation)
    losses, _ = behavior.losses(imagination, inferred_batch(0), normal(3, 5, 2))
    value = perceptron(behavior.value)(array(features))[..., 0]
    returns, weight = v1.returns_and_weights(array(reward), value, array(continuation))
    assert_equal(losses["actor"], v1.actor_loss(returns, weight))
    assert_equal(losses["value"], v1.value_loss(value, returns, weight))


def test_the_weights_of_joined_inputs_begin_in_one_glorot_range():
    """Keras's dense layer over `[z, a]`, and over `[h, e]`: `|W| <= sqrt(6 / (inputs + outputs))`."""
    model = reference_of(GaussianRSSM(embedding_size=50, action_size=2, deterministic=20, stochastic=30, hidden=200))
    for weight, _ in (model.input, model.posterior_layers[0]):
        assert np.abs(weight).max() <= np.sqrt(6 / sum(weight.shape)) * (1 + 1e-6)


@pytest.mark.parametrize(
    ("action", "policy_of", "rho"),
    [(DISCRETE, v2.OneHotPolicy, 1.0), (CONTINUOUS, v2.TruncatedNormalPolicy, 0.0), (CONTINUOUS, v2.TruncatedNormalPolicy, 0.4)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_update_of_dreamer_v2_has_the_losses_of_the_reference(seed, action, policy_of, rho):
    """Gradients by differences, that of the actor where no sample passes one straight through."""
    agent, batch = build_agent(2, action, seed, mix=rho), sequences(seed, "a terminal step inside", action)
    noise, behavior, heads = agent.draw_noise(batch, seeded(seed)), agent.behavior, agent.world_model.heads
    modules = behavior.actor, behavior.value.net, behavior.value.slow, heads["reward"], heads["continuation"]
    actor, value, *others = map(perceptron, modules)
    features, actions = imagine_by_reference(agent, batch, noise, lambda features: policy_of(actor(features)))
    slow_values, rewards, logits = (function(features)[..., 0] for function in others)
    returns, weight = v2.returns_and_weights(rewards, slow_values, sigmoid(logits))

    def actor_loss():
        policy = policy_of(actor(features[:, :-2]))
        return v2.actor_loss(policy.log_density(actions[:, :-1]), policy.entropy(), returns, slow_values, weight, rho).mean()

    def value_loss():
        return v2.value_loss(value(features)[..., 0], returns, weight).mean()

    metrics = agent.update(batch, noise)
    assert_equal(metrics["train/actor_loss"], actor_loss())
    assert_equal(metrics["train/value_loss"], value_loss())
    assert_equal(metrics["train/value_gradient_norm"], value.gradient_norm(value_loss))
    if rho == 1:
        assert_equal(metrics["train/actor_gradient_norm"], actor.gradient_norm(actor_loss))


def metrics_of_dreamer_v3(agent, batch, noise, policy_of, previous_range):
    heads, behavior = agent.world_model.heads, agent.behavior
    modules = behavior.actor, behavior.value.net, behavior.value.slow, heads["reward"], heads["continuation"]
    actor, value, slow, reward, continuation = map(perceptron, modules)
    replayed, *_ = observe_by_reference(agent, batch, noise)
    features, actions = imagine_by_reference(agent, batch, noise, lambda features: policy_of(actor(features)))
    values, rewards = v3.two_hot_mean(value(features)), v3.two_hot_mean(reward(features))
    returns, weight = v3.returns_and_weights(rewards, values, sigmoid(continuation(features)[..., 0]))
    scale = v3.return_range(returns, previous_range)

    def actor_loss():
        policy = policy_of(actor(features[:, :-1]))
        return v3.actor_loss(policy.log_density(actions), policy.entropy(), returns, values, weight, scale).mean()

    imagined_loss = weight * v3.value_loss(value(features), slow(features), returns)
    steps = [array(each) for each in (batch.reward, batch.is_first, batch.is_terminal)]
    replay_loss = v3.replay_value_loss(value(replayed), slow(replayed), returns[:, 0].reshape(3, 5), *steps)
    return {
        "behavior/return_scale": scale,
        "train/actor_loss": actor_loss(),
        "train/actor_gradient_norm": actor.gradient_norm(actor_loss),
        "train/value_loss": imagined_loss.mean() + v3.REPLAY_VALUE * replay_loss.mean(),
    }


@pytest.mark.parametrize(
    ("boundary", "action", "policy_of", "noise_scale"),
    [
        ("one episode", CONTINUOUS, v3.BoundedNormalPolicy, 0.05),
        ("a time limit inside", DISCRETE, v3.MixedOneHotPolicy, 1.0),
        ("a terminal step inside", CONTINUOUS, v3.BoundedNormalPolicy, 0.05),
        ("a terminal step at the end", DISCRETE, v3.MixedOneHotPolicy, 1.0),
    ],
)
def test_two_updates_of_dreamer_v3_have_the_losses_of_the_reference(boundary, action, policy_of, noise_scale):
    agent, scale = build_agent(3, action), 0.0
    for seed in (0, 1):
        batch = sequences(seed, boundary, action)
        noise = agent.draw_noise(batch, seeded(seed))
        noise = replace(noise, imagined_actions=noise_scale * noise.imagined_actions)
        expected = metrics_of_dreamer_v3(agent, batch, noise, policy_of, scale)
        metrics, scale = agent.update(batch, noise), expected["behavior/return_scale"]
        assert scale > 1
        for name, value in expected.items():
            assert_equal(metrics[name], value)


@pytest.mark.parametrize("warm_up", [0, 3])
def test_the_steps_of_laprop_equal_the_reference(warm_up):
    parameters = [torch.nn.Parameter(normal(4, 3)), torch.nn.Parameter(normal(5, seed=1))]
    starts = [array(parameter) for parameter in parameters]
    gradients = [[size * normal(4, 3, seed=step), size * normal(5, seed=step + 10)] for step, size in enumerate((0.1, 3.0, 0.3, 1.0))]
    optimizer = LaProp(parameters=parameters, learning_rate=0.1, warmup=warm_up)
    for each in gradients:
        optimizer.step(each)
    for number, (parameter, start) in enumerate(zip(parameters, starts, strict=True)):
        assert_equal(parameter, v3.laprop(start, [array(each[number]) for each in gradients], 0.1, warm_up))
