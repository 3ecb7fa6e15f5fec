"""Imagination: which action led where."""

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
    found = imagine(dynamics=dynamics, heads=heads, policy=behavior.sample, start=start, latent_noise=noise, action_noise=action_noise)
    belief: Latent = start
    assert found.action.shape == (STARTS, HORIZON, ACTION)
    assert found.features.shape[:2] == found.reward.shape == found.continuation.shape == (STARTS, HORIZON + 1)
    for t in range(HORIZON):
        assert torch.equal(found.features[:, t], belief.features)
        assert torch.equal(found.action[:, t], behavior.sample(belief.features, action_noise[t]))
        belief = dynamics.imagine_step(belief, found.action[:, t], noise[t])
    assert torch.equal(found.features[:, HORIZON], belief.features)
    for t in range(HORIZON + 1):
        assert torch.allclose(found.reward[:, t], heads["reward"](found.features[:, t]).mean, atol=1e-6)
        assert torch.allclose(found.continuation[:, t], heads["continuation"](found.features[:, t]).mean, atol=1e-6)


def test_without_a_continuation_every_episode_goes_on():
    dynamics, heads, behavior = parts()
    found = imagine(
        dynamics=dynamics,
        heads={"reward": heads["reward"]},
        policy=behavior.sample,
        start=latent(STARTS, spec=dynamics.latent),
        latent_noise=dynamics.draw_noise(HORIZON, STARTS, generator=seeded(1)),
        action_noise=behavior.draw_noise(HORIZON, STARTS, generator=seeded(2)),
    )
    assert torch.equal(found.continuation, torch.ones(STARTS, HORIZON + 1))


def test_no_noise_is_no_step():
    dynamics, heads, behavior = parts()
    found = imagine(
        dynamics=dynamics,
        heads=heads,
        policy=behavior.sample,
        start=(start := latent(STARTS, spec=dynamics.latent)),
        latent_noise=dynamics.draw_noise(0, STARTS, generator=seeded(1)),
        action_noise=behavior.draw_noise(0, STARTS, generator=seeded(2)),
    )
    assert found.action.shape == (STARTS, 0, ACTION)
    assert found.reward.shape == (STARTS, 1)
    assert torch.equal(found.features[:, 0], start.features)
