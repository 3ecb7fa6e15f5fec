"""Every component is one graph: no break, no gin, no Python left over; and compiled it gives the same numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from framework.data import Imagination, Latent
from framework.functional import contrastive
from framework.functional.random import fold_in, uniform
from framework.imagination import imagine
from framework.registry import registry_of
from tests.members import TARGETS, accepted_observations, accepted_targets, behaviors, build, members
from tests.tiny import (
    ACTIONS,
    DYNAMICS,
    LATENT,
    OBSERVATIONS,
    ROWS,
    TIMES,
    batch,
    behavior_sizes,
    candidates,
    contrast,
    inferred,
    latent,
    latent_spec,
    normal,
    objective_sizes,
    observe,
    origin,
    replayed,
    seed_of,
    seeded,
)


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
    check(dynamics.kl_loss, posterior, prior)


@pytest.mark.parametrize("name", members("critics"))
def test_a_critic(name):
    for kind in registry_of("critics").get(name).takes_latent:
        spec = latent_spec(kind)
        critic = build("critics", name, latent=spec, embedding_size=5)
        check(critic, latent(4, spec=spec), candidates(critic, 6, spec))


@pytest.mark.parametrize("name", members("negatives"))
def test_a_strategy_and_a_loss_on_it(name):
    strategy, critic = build("negatives", name), build("critics", "CosineCritic", latent=LATENT, embedding_size=5)
    strategy.allocate(5)
    given = contrast(torch.zeros(12, 12), origin(3, 4), critic)

    def loss(seed: Tensor) -> tuple[Tensor, Tensor]:
        chosen = strategy(given, seed)
        return contrastive.infonce_loss(chosen.scores, chosen.log_weights), contrastive.log_candidates(chosen.log_weights)

    check(loss, seed_of(0))


@pytest.mark.parametrize("name", members("bounds"))
def test_a_bound(name):
    bound = build("bounds", name, latent=LATENT, embedding_size=5)
    given = contrast(torch.zeros(12, 12), origin(3, 4), build("critics", "BilinearCritic", latent=LATENT, embedding_size=5))
    check(lambda: (bound.loss(given), bound.estimate(given)))


@pytest.mark.parametrize("name", members("objectives"))
def test_an_objective(name):
    objective = build("objectives", name, **objective_sizes())
    seen = inferred(latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, 5), batch())
    check(lambda seed: objective(seen, DYNAMICS, seed), seed_of(0))


@pytest.mark.parametrize("axis", ["row", "symmetric"])
def test_an_objective_in_blocks_of_anchors(axis):
    objective = build("objectives", "InfoNCE", **objective_sizes(), axis=axis, chunk_above=ROWS * TIMES - 1)
    seen = inferred(latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, 5), batch())
    check(lambda seed: objective(seen, DYNAMICS, seed), seed_of(0))


@pytest.mark.parametrize("name", members("heads"))
def test_a_head(name):
    targets = accepted_targets(name)
    assert targets
    data, features = batch(), normal(ROWS, TIMES, 10)
    head = build("heads", name, latent=LATENT, target=TARGETS[targets[0]])
    check(lambda given: head.loss(given, data), features)
    check(lambda given: head(given).mean, features)


@pytest.mark.parametrize("name", members("values"))
def test_a_value(name):
    value, features = build("values", name, feature_size=10), normal(ROWS, TIMES, 10)
    check(value, features)
    check(value.loss, features, normal(ROWS, TIMES))


@pytest.mark.parametrize(("name", "kind"), behaviors())
def test_a_behavior_in_imagination(name, kind):
    """The policy, a whole rollout and the losses on it."""
    dynamics = build("dynamics", "GaussianRSSM", embedding_size=5, action_size=ACTIONS[kind].size)
    behavior = build("actor_critics", name, **behavior_sizes(dynamics.latent, kind))
    heads = {"reward": build("heads", "RewardHead", latent=dynamics.latent)}
    start, noise = latent(ROWS * TIMES, spec=dynamics.latent), dynamics.draw_noise(3, ROWS * TIMES, generator=seeded(1))
    action_noise = behavior.draw_noise(3, ROWS * TIMES, generator=seeded(2))
    known, noise_of_actions = replayed(dynamics.latent, kind), behavior.draw_noise(ROWS, TIMES, generator=seeded(3))

    def dream(start: Latent, latent_noise: Tensor, action_noise: Tensor) -> tuple[Any, ...]:
        rolled = imagine(
            dynamics=dynamics,
            heads=heads,
            policy=behavior.sample,
            start=start,
            latent_noise=latent_noise,
            action_noise=action_noise,
        )
        return rolled, behavior.losses(rolled, known, noise_of_actions)

    check(behavior.sample, start.features, action_noise[0])
    check(dream, start, noise, action_noise)


def test_numbers_from_a_seed():
    check(lambda seed: uniform(fold_in(seed, 2), 7, 3), seed_of(4))
