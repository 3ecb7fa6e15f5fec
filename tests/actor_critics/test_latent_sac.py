"""Soft actor-critic on replayed latents, against a loop over steps."""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.latent_sac import LatentSAC
from framework.data import InferredBatch
from tests.actor_critics.worlds import half_square, nothing_imagined
from tests.members import factory
from tests.tiny import LATENT, ROWS, TIMES, acted, behavior_sizes, normal, replayed, replayed_noise, seeded

TWO = factory("values", "EnsembleValue", value=factory("values", "NormalValue", slow_rate=0.5), members=2, reduce="minimum")


def make(**settings) -> LatentSAC:
    behavior = LatentSAC(**behavior_sizes(LATENT), **({"layers": 1, "units": 8, "activation": "tanh", "value": TWO} | settings))
    with torch.no_grad():
        for parameter in behavior.group("value"):
            parameter.add_(normal(*parameter.shape, seed=parameter.numel()), alpha=0.3)
    return behavior


def losses_of(behavior: LatentSAC, inferred: InferredBatch) -> dict[str, Tensor]:
    return behavior.losses(nothing_imagined(inferred), inferred, replayed_noise())[0]


def test_its_losses_are_those_of_a_loop_without_first_and_terminal_steps():
    behavior, inferred = make(discount=0.9, initial_temperature=0.4), replayed()
    policy, features, batch, temperature = behavior.policy(inferred.features), inferred.features, inferred.batch, 0.4
    action = policy.sample(replayed_noise())
    surprise = -policy.log_density(action)
    expected: dict[str, list[Tensor]] = {"actor": [], "value": [], "temperature": []}
    for b in range(ROWS):
        for t in range(TIMES):
            here = torch.cat([features[b, t], action[b, t]])
            if not batch.is_terminal[b, t]:
                value = torch.stack([member(here) for member in behavior.value.members]).min()
                expected["actor"].append(-temperature * surprise[b, t] - value)
                expected["temperature"].append(temperature * (surprise[b, t] + 2))
            if t == 0 or batch.is_first[b, t]:
                continue
            following = torch.stack([member.bootstrap(here) for member in behavior.value.members]).min() + temperature * surprise[b, t]
            target = batch.reward[b, t] + (0.0 if batch.is_terminal[b, t] else 0.9 * following)
            before = torch.cat([features[b, t - 1], batch.action[b, t]])
            expected["value"].append(sum(half_square(member(before), target) for member in behavior.value.members) / 2)
    assert [len(each) for each in expected.values()] == [ROWS * TIMES - 1, ROWS * (TIMES - 1) - 1, ROWS * TIMES - 1]
    losses = losses_of(behavior, inferred)
    for name, values in expected.items():
        assert torch.allclose(losses[name].mean(), torch.stack(values).mean(), atol=1e-3, rtol=1e-3), name


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
