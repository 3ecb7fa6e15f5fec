"""Every component is one graph: no break, no gin, no Python left over; and compiled it gives the same numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from framework.data import Imagination, Latent, Origin
from framework.functional import contrastive
from framework.imagination import imagine
from tests.members import TARGETS, accepted_observations, accepted_targets, build, members
from tests.tiny import LATENT, OBSERVATIONS, ROWS, TIMES, batch, latent, latent_spec, normal, observe, seeded


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def tensors(value: Any) -> list[Tensor]:
    match value:
        case Tensor():
            return [value]
        case Latent() | Imagination():
            return tensors(list(vars(value).values()))
        case dict():
            return tensors(list(value.values()))
        case list() | tuple():
            return [tensor for each in value for tensor in tensors(each)]
    return []


def check(function: Callable[..., Any], *arguments: Any, backend: str = "eager") -> None:
    """Compiled as one graph, it gives what it gives as it is."""
    expected = tensors(function(*arguments))
    found = tensors(torch.compile(function, fullgraph=True, backend=backend)(*arguments))
    assert expected
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", members("encoders"))
def test_an_encoder(name):
    kinds = accepted_observations(name)
    assert kinds
    for kind in kinds:
        encoder = build("encoders", name, observation=OBSERVATIONS[kind])
        check(encoder, observe(OBSERVATIONS[kind], 2, 3))


@pytest.mark.parametrize("name", members("dynamics"))
def test_a_dynamics(name):
    dynamics = build("dynamics", name, embedding_size=5, action_size=2)
    noise, data = dynamics.draw_noise(ROWS, TIMES, generator=seeded()), batch()
    start, embedding = dynamics.initial(ROWS), normal(ROWS, TIMES, 5)
    prepared = dynamics.prepare(embedding, data.action, data.is_first)
    check(dynamics.prepare, embedding, data.action, data.is_first)
    check(dynamics.recur, start, tuple(part[:, 0] for part in prepared), noise[:, 0])
    check(dynamics.imagine_step, start, data.action[:, 0], noise[:, 0])
    check(dynamics.observe, embedding, data.action, data.is_first, start, noise)
    posterior, prior = dynamics.observe(embedding, data.action, data.is_first, start, noise)
    check(dynamics.finish, posterior)
    check(dynamics.divergence, posterior, prior)


@pytest.mark.parametrize("name", members("critics"))
def test_a_critic(name):
    kind = build("critics", name, latent=LATENT, embedding_size=5).takes_latent[0]
    critic = build("critics", name, latent=latent_spec(kind), embedding_size=5)
    check(critic, latent(4, spec=latent_spec(kind)), normal(6, 5))


@pytest.mark.parametrize("name", members("negatives"))
@pytest.mark.parametrize("axis", ["row", "column", "symmetric"])
def test_a_strategy_and_the_bound_on_it(name, axis):
    strategy = build("negatives", name)
    origin = Origin.of(torch.arange(3)[:, None].expand(3, 4))

    def loss(scores: Tensor) -> tuple[Tensor, Tensor]:
        weights = strategy(scores, origin, origin)
        return contrastive.infonce_loss(scores, weights, axis), contrastive.log_candidates(weights, axis)

    check(loss, normal(12, 12))


@pytest.mark.parametrize("name", members("objectives"))
def test_an_objective(name):
    objective = build("objectives", name, latent=LATENT, embedding_size=5, observation=OBSERVATIONS["both"])
    belief, embedding, data = latent(ROWS, TIMES), normal(ROWS, TIMES, 5), batch()
    check(lambda: objective(belief, belief, embedding, data))


@pytest.mark.parametrize("name", members("heads"))
def test_a_head(name):
    targets = accepted_targets(name)
    assert targets
    data, features = batch(), normal(ROWS, TIMES, 10)
    head = build("heads", name, feature_size=10, target=TARGETS[targets[0]])
    check(lambda given: head.loss(given, data), features)
    check(lambda given: head(given).mean, features)


@pytest.mark.parametrize("name", members("values"))
def test_a_value(name):
    value, features = build("values", name, feature_size=10), normal(ROWS, TIMES, 10)
    check(value, features)
    check(value.loss, features, normal(ROWS, TIMES))


@pytest.mark.parametrize("name", members("actor_critics"))
def test_a_behaviour_in_imagination(name):
    """The policy, a whole rollout and the losses on it."""
    dynamics = build("dynamics", "GaussianRSSM", embedding_size=5, action_size=2)
    size = dynamics.latent.feature_size
    behaviour = build("actor_critics", name, feature_size=size, action_size=2)
    heads = {"reward": build("heads", "RewardHead", feature_size=size, target=None)}
    start, noise = latent(4, spec=dynamics.latent), dynamics.draw_noise(3, 4, generator=seeded(1))
    action_noise = behaviour.draw_noise(3, 4, generator=seeded(2))

    def dream(start: Latent, latent_noise: Tensor, action_noise: Tensor) -> tuple[Any, ...]:
        rolled = imagine(
            dynamics=dynamics,
            heads=heads,
            policy=behaviour.sample,
            start=start,
            latent_noise=latent_noise,
            action_noise=action_noise,
        )
        return rolled, behaviour.losses(rolled)

    check(behaviour.sample, start.features, action_noise[0])
    check(dream, start, noise, action_noise)
