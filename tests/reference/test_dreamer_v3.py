"""Dreamer V3's update equals the reference: block GRU, unimix, two-hot heads, return scale, replayed value, and the optimizer's steps."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from dm_env import specs

from framework.actor_critics.reinforce import Reinforce
from framework.agent import Agent
from framework.dynamics.block_rssm import BlockRSSM
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
    build_agent,
    categorical_latent,
    generator,
    named_layers,
    normal,
    observe_by,
    perceptron,
    sequences,
)
from tests.reference.layers import bernoulli_nll, imagine, sigmoid


@torch.no_grad()
def agent(action: specs.Array) -> Agent:
    """Its rewards lie around 400 and its values around 1,100, so that the returns have a range above 1."""
    built = build_agent(
        0,
        action,
        dynamics=partial(BlockRSSM, deterministic=6, hidden=7, groups=3, classes=4, blocks=2),
        heads={
            "reward": partial(TwoHotRewardHead, layers=1, units=7, bins=41),
            "continuation": partial(ContinuationHead, layers=1, units=7, activation="silu", norm="rms"),
        },
        actor_critic=partial(Reinforce, value=partial(TwoHotValue, layers=1, units=7, bins=41), layers=1, units=7, discount=v3.DISCOUNT),
        optimizers={name: partial(LaProp, learning_rate=1e-3) for name in ("model", "actor", "value")},
    )
    for module, center in ((built.world_model.heads["reward"], 6.0), (built.behavior.value.net, 7.0), (built.behavior.value.slow, 7.0)):
        last = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)][-1]
        last.bias.copy_(-(torch.linspace(-20, 20, 41) - center).square())
    return built


def reference(rssm: BlockRSSM) -> v3.BlockRSSM:
    layer = named_layers(rssm)
    return v3.BlockRSSM(
        from_deterministic=layer("summary.0.0", "summary.0.1"),
        from_stochastic=layer("summary.1.0", "summary.1.1"),
        from_action=layer("from_action.0", "from_action.1"),
        mixing=layer("mixing", "mixing_norm"),
        gates=layer("gates"),
        prior_layers=[layer("prior.0", "prior.1"), layer("prior.3", "prior.4"), layer("prior.6")],
        posterior_layers=[layer("posterior_hidden", "posterior_norm"), layer("posterior_out")],
        classes=4,
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_losses_of_the_world_model_equal_the_reference(seed, boundary):
    """Some of the actions lie beyond 1, where the dynamics scales them back."""
    tested, batch = agent(CONTINUOUS), sequences(seed, boundary)
    noise = tested.draw_noise(batch, generator(seed))
    output = tested.world_model(batch, noise.posterior, noise.key)
    features, posterior, prior = observe_by(reference(tested.world_model.dynamics), tested, batch, noise)
    reward, continuation = (perceptron(tested.world_model.heads[name])(features) for name in ("reward", "continuation"))
    assert_equal(output.inferred.features, features)
    assert_equal(tested.world_model.dynamics.kl_scale * output.losses["kl"], v3.kl_loss(posterior, prior))
    assert_equal(output.losses["reward"], v3.two_hot_nll(array(batch.reward), reward))
    assert_equal(output.losses["continuation"], bernoulli_nll(1 - array(batch.is_terminal), continuation[..., 0]))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_kl_trains_the_prior_with_weight_1_and_the_posterior_with_a_tenth(seed):
    dynamics = BlockRSSM(embedding_size=5, action_size=3, deterministic=6, hidden=7, groups=3, classes=4, blocks=2)
    latents = categorical_latent(seed), categorical_latent(seed + 1)
    logits = [latent.statistics["logits"] for latent in latents]
    loss = dynamics.kl_scale * dynamics.kl_loss(*latents)[0]["kl"]
    posterior, prior = (array(each) for each in logits)
    charged = v2.categorical_kl(posterior, prior)[..., None] > v3.FREE_NATS
    assert 0 < charged.sum() < charged.size
    assert_equal(loss, v3.kl_loss(posterior, prior))
    gradients = torch.autograd.grad(loss.sum(), logits)
    for gradient, expected in zip(gradients, v2.kl_gradients(posterior, prior, of_prior=1.0, of_posterior=0.1), strict=True):
        assert_equal(gradient, charged * expected)


def expected_metrics(tested, batch, noise, policy_of, previous_range):
    """The metrics of an update by the reference, from its noise alone; the gradient of the actor by differences."""
    heads, behavior, model = tested.world_model.heads, tested.behavior, reference(tested.world_model.dynamics)
    actor, value, slow = (perceptron(module) for module in (behavior.actor, behavior.value.net, behavior.value.slow))
    action_noise = array(noise.imagined_actions)
    replayed, *_ = observe_by(model, tested, batch, noise)
    features, actions = imagine(
        model,
        replayed.reshape(15, -1),
        lambda step, features: policy_of(actor(features)).sample(action_noise[step]),
        array(noise.imagined_latents),
    )
    values, reward = v3.two_hot_mean(value(features)), v3.two_hot_mean(perceptron(heads["reward"])(features))
    returns, weight = v3.returns_and_weights(reward, values, sigmoid(perceptron(heads["continuation"])(features)[..., 0]))
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
    ("action", "policy_of", "noise_scale"), [(DISCRETE, v3.MixedOneHotPolicy, 1.0), (CONTINUOUS, v3.BoundedNormalPolicy, 0.05)]
)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_two_updates_have_the_losses_of_the_reference(boundary, action, policy_of, noise_scale):
    tested, scale = agent(action), 0.0
    for seed in (0, 1):
        batch = sequences(seed, boundary, action)
        noise = tested.draw_noise(batch, generator(seed))
        noise = replace(noise, imagined_actions=noise_scale * noise.imagined_actions)
        expected = expected_metrics(tested, batch, noise, policy_of, scale)
        metrics, scale = tested.update(batch, noise), expected["behavior/return_scale"]
        assert scale > 1
        for name, value in expected.items():
            assert_equal(metrics[name], value)


@pytest.mark.parametrize("warm_up", [0, 3])
def test_the_steps_of_the_optimizer_equal_the_reference(warm_up):
    parameters = [torch.nn.Parameter(normal(0, 4, 3)), torch.nn.Parameter(normal(1, 5))]
    starts = [array(parameter) for parameter in parameters]
    gradients = [[size * normal(step, 4, 3), size * normal(step + 10, 5)] for step, size in enumerate((0.1, 3.0, 0.3, 1.0))]
    optimizer = LaProp(parameters=parameters, learning_rate=0.1, warmup=warm_up)
    for each in gradients:
        optimizer.step(each)
    for number, (parameter, start) in enumerate(zip(parameters, starts, strict=True)):
        assert_equal(parameter, v3.laprop(start, [array(each[number]) for each in gradients], 0.1, warm_up))
