"""Dreamer V2's update equals the reference: the balanced KL, straight-through samples, and the losses of actor and value."""

from functools import partial

import pytest
import torch
from dm_env import specs

from framework.actor_critics.mixed_gradient import MixedGradient
from framework.agent import Agent
from framework.dynamics.categorical_rssm import CategoricalRSSM
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
    build_agent,
    categorical_latent,
    generator,
    named_layers,
    observe_by,
    perceptron,
    sequences,
)
from tests.reference.layers import bernoulli_nll, imagine, sigmoid, unit_normal_nll


def agent(seed: int, action: specs.Array, rho: float = 1.0) -> Agent:
    value = partial(NormalValue, layers=2, units=7, slow_rate=1.0, slow_every=100)
    return build_agent(
        seed,
        action,
        dynamics=partial(CategoricalRSSM, deterministic=6, groups=3, classes=4, hidden=7),
        heads={"reward": partial(RewardHead, layers=2, units=7), "continuation": partial(ContinuationHead, layers=2, units=7)},
        actor_critic=partial(MixedGradient, value=value, layers=2, units=7, mix=rho),
        optimizers={name: partial(AdamW, learning_rate=1e-3) for name in ("model", "actor", "value")},
    )


def reference(rssm: CategoricalRSSM) -> v2.CategoricalRSSM:
    layer = named_layers(rssm)
    return v2.CategoricalRSSM(
        input=layer("input"),
        gru=layer("cell.gates"),
        gru_norm=layer("cell.norm"),
        prior_layers=[layer("prior_hidden"), layer("prior_out")],
        posterior_layers=[layer("posterior_hidden"), layer("posterior_out")],
        classes=4,
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_losses_of_the_world_model_equal_the_reference(seed, boundary):
    tested, batch = agent(seed, DISCRETE), sequences(seed, boundary, DISCRETE)
    noise = tested.draw_noise(batch, generator(seed))
    output = tested.world_model(batch, noise.posterior, noise.key)
    features, posterior, prior = observe_by(reference(tested.world_model.dynamics), tested, batch, noise)
    reward, continuation = (perceptron(tested.world_model.heads[name])(features)[..., 0] for name in ("reward", "continuation"))
    assert_equal(output.inferred.features, features)
    assert_equal(output.losses["kl"].mean(), v2.kl_loss(posterior, prior))
    assert_equal(output.losses["reward"], unit_normal_nll(array(batch.reward), reward))
    assert_equal(output.losses["continuation"], bernoulli_nll(1 - array(batch.is_terminal), continuation))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_kl_trains_the_prior_with_weight_4_fifths_and_the_posterior_with_a_fifth(seed):
    dynamics = CategoricalRSSM(embedding_size=5, action_size=3, deterministic=6, groups=3, classes=4)
    latents = categorical_latent(seed), categorical_latent(seed + 1)
    logits = [latent.statistics["logits"] for latent in latents]
    losses, _ = dynamics.kl_loss(*latents)
    posterior, prior = (array(each) for each in logits)
    assert v2.kl_loss(posterior, prior) > v2.FREE_NATS
    assert_equal(losses["kl"].mean(), v2.kl_loss(posterior, prior))
    gradients = torch.autograd.grad(losses["kl"].sum(), logits)
    for gradient, expected in zip(gradients, v2.kl_gradients(posterior, prior, of_prior=0.8, of_posterior=0.2), strict=True):
        assert_equal(gradient, expected)


@pytest.mark.parametrize(
    ("action", "policy_of", "rho"),
    [(DISCRETE, v2.OneHotPolicy, 1.0), (CONTINUOUS, v2.TruncatedNormalPolicy, 0.0), (CONTINUOUS, v2.TruncatedNormalPolicy, 0.4)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_update_has_the_losses_of_the_reference(seed, action, policy_of, rho):
    """From the noise of the update alone; gradients by differences, that of the actor where no sample passes one straight through."""
    tested, batch = agent(seed, action, rho), sequences(seed, "a terminal step inside", action)
    heads, behavior = tested.world_model.heads, tested.behavior
    noise = tested.draw_noise(batch, generator(seed))
    model, actor, value = reference(tested.world_model.dynamics), perceptron(behavior.actor), perceptron(behavior.value.net)
    start, action_noise = observe_by(model, tested, batch, noise)[0].reshape(15, -1), array(noise.imagined_actions)
    features, actions = imagine(
        model, start, lambda step, features: policy_of(actor(features)).sample(action_noise[step]), array(noise.imagined_latents)
    )
    modules = heads["reward"], behavior.value.slow, heads["continuation"]
    rewards, slow_values, logits = (perceptron(module)(features)[..., 0] for module in modules)
    returns, weight = v2.returns_and_weights(rewards, slow_values, sigmoid(logits))

    def actor_loss():
        policy = policy_of(actor(features[:, :-2]))
        return v2.actor_loss(policy.log_density(actions[:, :-1]), policy.entropy(), returns, slow_values, weight, rho).mean()

    def value_loss():
        return v2.value_loss(value(features)[..., 0], returns, weight).mean()

    metrics = tested.update(batch, noise)
    assert_equal(metrics["train/actor_loss"], actor_loss())
    assert_equal(metrics["train/value_loss"], value_loss())
    assert_equal(metrics["train/value_gradient_norm"], value.gradient_norm(value_loss))
    if rho == 1:
        assert_equal(metrics["train/actor_gradient_norm"], actor.gradient_norm(actor_loss))
