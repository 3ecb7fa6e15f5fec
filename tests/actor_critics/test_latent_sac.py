"""Soft actor-critic on replayed latents."""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.latent_sac import LatentSAC
from framework.data import InferredBatch
from framework.testing.samples import LATENT, acted, behavior_sizes, normal, replayed, replayed_noise, seeded
from tests.actor_critics.worlds import nothing_imagined, temporal_difference_loss
from tests.members import factory

TWO = factory("values", "EnsembleValue", value=factory("values", "NormalValue", slow_rate=0.5), members=2, reduce="minimum")


def make(**settings) -> LatentSAC:
    behavior = LatentSAC(**behavior_sizes(LATENT), **({"layers": 1, "units": 8, "activation": "tanh", "value": TWO} | settings))
    with torch.no_grad():
        for parameter in behavior.group("value"):
            parameter.add_(normal(*parameter.shape, seed=parameter.numel()), alpha=0.3)
    return behavior


def losses_of(behavior: LatentSAC, inferred: InferredBatch) -> dict[str, Tensor]:
    return behavior.losses(nothing_imagined(inferred), inferred, replayed_noise())[0]


def test_its_losses_are_those_of_the_paper_without_first_and_terminal_steps():
    behavior, inferred = make(discount=0.9, initial_temperature=0.4), replayed()
    policy, acting = behavior.policy(inferred.features), ~inferred.batch.is_terminal
    action = policy.sample(replayed_noise())
    surprise, inputs = -policy.log_density(action), torch.cat([inferred.features, action], dim=-1)
    members = behavior.value.members
    value, slow_value = (
        torch.stack([function(inputs) for function in each]).amin(dim=0) for each in (members, [m.bootstrap for m in members])
    )
    expected = {
        "actor": (-0.4 * surprise - value)[acting].mean(),
        "value": temporal_difference_loss(behavior.value, inferred, slow_value + 0.4 * surprise, 0.9),
        "temperature": (0.4 * (surprise + 2))[acting].mean(),
    }
    losses = losses_of(behavior, inferred)
    assert not torch.allclose(slow_value, value)
    for name, loss in expected.items():
        assert torch.allclose(losses[name].mean(), loss, atol=1e-3, rtol=1e-3), name


@pytest.mark.parametrize(("target", "direction"), [(-100.0, 1.0), (100.0, -1.0)])
def test_the_temperature_moves_the_entropy_to_its_target(target, direction):
    """Too much entropy lowers it (a positive gradient is descended), too little raises it."""
    behavior = make(target_entropy=target)
    (gradient,) = torch.autograd.grad(losses_of(behavior, replayed())["temperature"].mean(), behavior.group("temperature"))
    assert gradient.sign().item() == direction


def test_its_best_action_is_the_tanh_of_the_mean():
    behavior, features = make(), normal(5, LATENT.feature_size)
    assert torch.equal(acted(behavior, features, "mode", seeded()), behavior.policy(features).mean.tanh())
    assert not torch.equal(acted(behavior, features, "explore", seeded()), acted(behavior, features, "explore", seeded(1)))


def test_its_losses_do_not_depend_on_imagination():
    behavior, inferred = make(), replayed()
    others = behavior.losses(nothing_imagined(replayed(seed=50)), inferred, replayed_noise())[0]
    assert all(torch.equal(loss, others[name]) for name, loss in losses_of(behavior, inferred).items())


def test_the_loss_of_the_actor_does_not_reach_the_temperature():
    behavior = make()
    assert torch.autograd.grad(losses_of(behavior, replayed())["actor"].mean(), behavior.group("temperature"), allow_unused=True) == (None,)
