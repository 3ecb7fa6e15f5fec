"""Soft actor-critic on replayed latents, against a loop over steps."""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.latent_sac import LatentSAC
from framework.data import InferredBatch
from framework.errors import UserError
from tests.actor_critics.worlds import half_square, nothing_imagined
from tests.members import factory
from tests.tiny import LATENT, ROWS, TIMES, acted, behavior_sizes, normal, replayed, replayed_noise, seeded, with_batch

TWO = factory("values", "EnsembleValue", value=factory("values", "NormalValue", slow_rate=0.5), members=2, reduce="minimum")


def make(**settings) -> LatentSAC:
    behavior = LatentSAC(**behavior_sizes(LATENT), **({"layers": 1, "units": 8, "activation": "tanh", "value": TWO} | settings))
    with torch.no_grad():
        for parameter in behavior.group("value"):
            parameter.add_(normal(*parameter.shape, seed=parameter.numel()), alpha=0.3)
    return behavior


def losses(behavior: LatentSAC, inferred: InferredBatch) -> dict[str, Tensor]:
    return behavior.losses(nothing_imagined(inferred), inferred, replayed_noise())[0]


def test_its_losses_are_those_of_a_loop():
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
            each = [half_square(member(before), target) for member in behavior.value.members]
            expected["value"].append(sum(each) / 2)
    assert [len(each) for each in expected.values()] == [ROWS * TIMES - 1, ROWS * (TIMES - 1) - 1, ROWS * TIMES - 1]
    found = losses(behavior, inferred)
    for name, values in expected.items():
        assert torch.allclose(found[name].mean(), torch.stack(values).mean(), atol=1e-3, rtol=1e-3), name


def test_the_first_step_of_an_episode_is_no_transition():
    behavior, inferred = make(), replayed()
    (row, time), *others = inferred.batch.is_first[:, 1:].nonzero().tolist()
    assert others == []
    jumped = with_batch(inferred, reward=inferred.batch.reward.index_put((torch.tensor(row), torch.tensor(time + 1)), torch.tensor(100.0)))
    assert torch.equal(losses(behavior, jumped)["value"], losses(behavior, inferred)["value"])
    moved = with_batch(inferred, reward=inferred.batch.reward.index_put((torch.tensor(row), torch.tensor(time + 2)), torch.tensor(100.0)))
    assert not torch.equal(losses(behavior, moved)["value"], losses(behavior, inferred)["value"])


def test_nothing_follows_a_terminal_step():
    """There the target is the reward alone."""
    behavior, inferred = make(), replayed()
    ended = with_batch(inferred, is_terminal=torch.ones_like(inferred.batch.is_terminal))
    expected = half_square(inferred.batch.reward[:, 1:], 3.0)
    with torch.no_grad():
        for member in behavior.value.members:
            for net in (member.net, member.slow.copy):
                net.net[-1].weight.zero_()
                net.net[-1].bias.fill_(3.0)
    kept = ~inferred.batch.is_first[:, 1:]
    assert torch.allclose(losses(behavior, ended)["value"][kept] * kept.float().mean(), expected[kept], atol=1e-4)
    assert (losses(behavior, ended)["actor"] == 0).all()


@pytest.mark.parametrize(("target", "direction"), [(-100.0, 1.0), (100.0, -1.0)])
def test_the_temperature_moves_the_entropy_to_its_target(target, direction):
    """Too much entropy lowers it (a positive gradient is descended), too little raises it."""
    behavior = make(target_entropy=target)
    (gradient,) = torch.autograd.grad(losses(behavior, replayed())["temperature"].mean(), behavior.group("temperature"))
    assert gradient.sign().item() == direction


def test_its_target_entropy_is_minus_one_for_each_number():
    assert make().target_entropy == -2.0


def test_its_best_action_is_the_tanh_of_the_mean():
    behavior, features = make(), normal(5, LATENT.feature_size)
    assert torch.equal(acted(behavior, features, "mode", seeded()), behavior.policy(features).mean.tanh())
    assert not torch.equal(acted(behavior, features, "explore", seeded()), acted(behavior, features, "explore", seeded(1)))


def test_its_losses_do_not_depend_on_imagination():
    behavior, inferred = make(), replayed()
    other = nothing_imagined(replayed(seed=50))
    found = behavior.losses(other, inferred, replayed_noise())[0]
    assert all(torch.equal(loss, found[name]) for name, loss in losses(behavior, inferred).items())


def test_each_loss_is_constant_in_the_parameters_of_the_others():
    behavior = make()
    found = losses(behavior, replayed())
    for name, others in {"actor": ["temperature"], "temperature": ["actor", "value"], "value": ["actor", "temperature"]}.items():
        parameters = [parameter for other in others for parameter in behavior.group(other)]
        gradients = torch.autograd.grad(found[name].mean(), parameters, allow_unused=True, retain_graph=True)
        assert all(gradient is None for gradient in gradients), name


def test_its_slow_copies_move_after_an_update_and_are_not_trained():
    behavior = make()
    slow = [each for member in behavior.value.members for each in member.slow.parameters()]
    assert slow
    assert not any(each.requires_grad for each in slow)
    before = [each.clone() for each in slow]
    behavior.after_update()
    assert all(not torch.equal(one, other) for one, other in zip(slow, before, strict=True))


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(UserError, match=r"LatentSAC.initial_temperature = 0.0 must be positive"):
        make(initial_temperature=0.0)
