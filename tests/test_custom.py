"""The custom components, beyond the contracts of their families."""

import math

import numpy as np
import pytest
import torch
from dm_env import specs
from torch import distributions as td

from framework.errors import UserError
from framework.registry import registry_of
from framework.testing.samples import LATENT, OBSERVATIONS, behavior_sizes, contrast, key_of, observe, origin, replayed, replayed_noise
from tests.actor_critics.worlds import random_rollout
from tests.members import build, factory


def policy_gradient(**settings):
    sizes = {"layers": 1, "units": 8, "value": factory("values", "NormalValue")}
    return registry_of("actor_critics").get("PolicyGradient")(**behavior_sizes(LATENT), **(sizes | settings))


def test_the_losses_of_the_policy_gradient_are_those_of_loops():
    behavior, rolled = policy_gradient(entropy=0.1), random_rollout(3, 5)
    losses, _ = behavior.losses(rolled, replayed(), replayed_noise())
    assert losses["actor"].shape == losses["value"].shape == (3, 5)
    for n in range(3):
        values = [behavior.value(feature).item() for feature in rolled.features[n]]
        following, returns = values[-1], {}
        for t in reversed(range(5)):
            discount = 0.99 * rolled.continuation[n, t + 1].item()
            following = rolled.reward[n, t + 1].item() + discount * (0.05 * values[t + 1] + 0.95 * following)
            returns[t] = following
        weight = rolled.continuation[n, 0].item()
        for t in range(5):
            policy = behavior.policy(rolled.features[n, t])
            before = td.Normal(policy.mean, policy.std)
            likelihood = (before.log_prob(rolled.action[n, t].atanh()) - (1 - rolled.action[n, t] ** 2).log()).sum()
            actor = -weight * (likelihood * (returns[t] - values[t]) + 0.1 * before.entropy().sum())
            value = weight * (0.5 * (values[t] - returns[t]) ** 2 + 0.5 * math.log(2 * math.pi))
            assert losses["actor"][n, t].item() == pytest.approx(actor.item(), abs=1e-3)
            assert losses["value"][n, t].item() == pytest.approx(value, abs=1e-3)
            weight *= 0.99 * rolled.continuation[n, t + 1].item()


def test_no_gradient_of_the_policy_gradient_reaches_the_rollout():
    rolled = random_rollout(3, 5)
    leaves = [getattr(rolled, name).requires_grad_() for name in ("action", "features", "reward", "continuation")]
    losses, _ = policy_gradient().losses(rolled, replayed(), replayed_noise())
    for loss in losses.values():
        gradients = torch.autograd.grad(loss.sum(), leaves, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in gradients)


def test_patches_are_concatenated_in_their_order():
    image = {"pixels": specs.BoundedArray((8, 16, 3), np.uint8, 0, 255, name="pixels")}
    encoder = build("encoders", "PatchEncoder", observation=image)
    observed = observe(image, 1)
    pixels, patches = observed["pixels"][0] / 255 - 0.5, []
    for y in range(0, 8, 4):
        for x in range(0, 16, 4):
            patches.append(encoder.each(pixels[y : y + 4, x : x + 4].reshape(-1)))
    assert torch.allclose(encoder(observed)[0], encoder.join(torch.cat(patches)), atol=1e-5)


@pytest.mark.parametrize(("steps", "expected"), [(0, ["100100", "010010", "001001"]), (1, ["100110", "010111", "001011"])])
def test_negatives_near_in_time_are_kept(steps, expected):
    batch_contrast = contrast(torch.zeros(6, 6), origin(2, 3))
    chosen = registry_of("negatives").get("NearestInTime")(steps=steps)(batch_contrast, key_of(0))
    assert ["".join(str(int(each)) for each in row == 0) for row in chosen.log_weights[:3]] == expected


@pytest.mark.parametrize(
    ("family", "name", "settings", "message"),
    [
        (
            "encoders",
            "PatchEncoder",
            {"patch": 3, "observation": OBSERVATIONS["pixels"]},
            r"PatchEncoder.patch = 3 does not divide .* 8 x 8",
        ),
        ("encoders", "PatchEncoder", {"observation": OBSERVATIONS["vectors"]}, "exactly one image"),
        ("negatives", "NearestInTime", {"steps": -1}, r"NearestInTime.steps = -1"),
    ],
)
def test_it_refuses_observations_and_settings_that_do_not_fit(family, name, settings, message):
    with pytest.raises(UserError, match=message):
        registry_of(family).get(name)(**settings)
