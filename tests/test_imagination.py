"""Imagination: the alignment of actions, features and predictions."""

import torch

from framework.data import Latent
from framework.imagination import imagine
from tests.members import build
from tests.tiny import behavior_sizes, latent, seeded

HORIZON, STARTS, ACTION = 4, 3, 2


def parts():
    dynamics = build("dynamics", "GaussianRSSM", embedding_size=5, action_size=ACTION)
    heads = {
        "reward": build("heads", "RewardHead", latent=dynamics.latent),
        "continuation": build("heads", "ContinuationHead", latent=dynamics.latent),
    }
    return dynamics, heads, build("actor_critics", "DynamicsBackprop", **behavior_sizes(dynamics.latent))


def test_each_action_was_taken_at_its_features_and_led_to_the_next():
    dynamics, heads, behavior = parts()
    start = latent(STARTS, spec=dynamics.latent)
    noise = dynamics.draw_noise(HORIZON, STARTS, generator=seeded(1))
    action_noise = behavior.draw_noise(HORIZON, STARTS, generator=seeded(2))
    rollout = imagine(dynamics=dynamics, heads=heads, policy=behavior.sample, start=start, latent_noise=noise, action_noise=action_noise)
    latent_at_t: Latent = start
    assert rollout.action.shape == (STARTS, HORIZON, ACTION)
    assert rollout.features.shape[:2] == rollout.reward.shape == rollout.continuation.shape == (STARTS, HORIZON + 1)
    for t in range(HORIZON):
        assert torch.equal(rollout.features[:, t], latent_at_t.features)
        assert torch.equal(rollout.action[:, t], behavior.sample(latent_at_t.features, action_noise[t]))
        latent_at_t = dynamics.imagine_step(latent_at_t, rollout.action[:, t], noise[t])
    assert torch.equal(rollout.features[:, HORIZON], latent_at_t.features)
    for t in range(HORIZON + 1):
        assert torch.allclose(rollout.reward[:, t], heads["reward"](rollout.features[:, t]).mean, atol=1e-6)
        assert torch.allclose(rollout.continuation[:, t], heads["continuation"](rollout.features[:, t]).mean, atol=1e-6)


def test_without_a_continuation_head_the_continuation_is_one():
    dynamics, heads, behavior = parts()
    rollout = imagine(
        dynamics=dynamics,
        heads={"reward": heads["reward"]},
        policy=behavior.sample,
        start=latent(STARTS, spec=dynamics.latent),
        latent_noise=dynamics.draw_noise(HORIZON, STARTS, generator=seeded(1)),
        action_noise=behavior.draw_noise(HORIZON, STARTS, generator=seeded(2)),
    )
    assert torch.equal(rollout.continuation, torch.ones(STARTS, HORIZON + 1))


def test_noise_of_length_zero_is_a_rollout_of_zero_steps():
    dynamics, heads, behavior = parts()
    rollout = imagine(
        dynamics=dynamics,
        heads=heads,
        policy=behavior.sample,
        start=(start := latent(STARTS, spec=dynamics.latent)),
        latent_noise=dynamics.draw_noise(0, STARTS, generator=seeded(1)),
        action_noise=behavior.draw_noise(0, STARTS, generator=seeded(2)),
    )
    assert rollout.action.shape == (STARTS, 0, ACTION)
    assert rollout.reward.shape == (STARTS, 1)
    assert torch.equal(rollout.features[:, 0], start.features)
