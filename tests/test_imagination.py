"""Imagination: the alignment of actions, features and predictions."""

import torch

from framework.data import Imagination
from framework.imagination import imagine
from framework.testing.samples import behavior_sizes, latent, seeded
from tests.members import build

HORIZON, STARTS = 4, 3
DYNAMICS = build("dynamics", "GaussianRSSM", embedding_size=5, action_size=2)
HEADS = {
    name: build("heads", head, latent=DYNAMICS.latent)
    for name, head in {"reward": "RewardHead", "continuation": "ContinuationHead"}.items()
}
BEHAVIOR = build("actor_critics", "DynamicsBackprop", **behavior_sizes(DYNAMICS.latent))
START = latent(STARTS, spec=DYNAMICS.latent)


def rollout(horizon: int = HORIZON, heads=HEADS) -> Imagination:
    latent_noise = DYNAMICS.draw_noise(horizon, STARTS, generator=seeded(1))
    action_noise = BEHAVIOR.draw_noise(horizon, STARTS, generator=seeded(2))
    return imagine(
        dynamics=DYNAMICS, heads=heads, policy=BEHAVIOR.sample, start=START, latent_noise=latent_noise, action_noise=action_noise
    )


def test_each_action_was_taken_at_its_features_and_led_to_the_next():
    rolled, current = rollout(), START
    latent_noise = DYNAMICS.draw_noise(HORIZON, STARTS, generator=seeded(1))
    action_noise = BEHAVIOR.draw_noise(HORIZON, STARTS, generator=seeded(2))
    assert rolled.action.shape == (STARTS, HORIZON, 2)
    assert rolled.features.shape[:2] == (STARTS, HORIZON + 1)
    for t in range(HORIZON):
        assert torch.equal(rolled.features[:, t], current.features)
        assert torch.equal(rolled.action[:, t], BEHAVIOR.sample(current.features, action_noise[t]))
        current = DYNAMICS.imagine_step(current, rolled.action[:, t], latent_noise[t])
    assert torch.equal(rolled.features[:, HORIZON], current.features)
    for name, prediction in (("reward", rolled.reward), ("continuation", rolled.continuation)):
        assert torch.allclose(prediction, HEADS[name](rolled.features).mean, atol=1e-6)


def test_the_continuation_is_one_without_a_head_for_it():
    assert torch.equal(rollout(heads={"reward": HEADS["reward"]}).continuation, torch.ones(STARTS, HORIZON + 1))


def test_noise_of_length_zero_is_a_rollout_of_zero_steps():
    rolled = rollout(horizon=0)
    assert rolled.action.shape == (STARTS, 0, 2)
    assert rolled.reward.shape == (STARTS, 1)
    assert torch.equal(rolled.features[:, 0], START.features)
