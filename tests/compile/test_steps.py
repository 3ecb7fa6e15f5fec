"""The steps that an update's loops repeat are one graph each, and compiled they give the same numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from framework.testing.checks import tensors
from framework.testing.samples import ACTIONS, ROWS, TIMES, batch, behavior_sizes, latent_spec, normal, seeded
from tests.members import behaviors, build, members

SAMPLE = ("CategoricalRSSM", "GaussianRSSM", ("DynamicsBackprop", "continuous"), ("DynamicsBackprop", "discrete"))


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def sampled(members: list[Any]) -> list[Any]:
    """Members, all but a sample marked for the night: tracing takes seconds."""
    return [each if each in SAMPLE else pytest.param(*np.atleast_1d(each).tolist(), marks=pytest.mark.nightly) for each in members]


def check(function: Callable[..., Any], *arguments: Any) -> None:
    """Compiled as one graph, a function gives the same tensors."""
    expected = [*tensors(function(*arguments))]
    compiled = tensors(torch.compile(function, fullgraph=True, backend="eager")(*arguments))
    assert expected
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(compiled, expected, strict=True))


@pytest.mark.parametrize("name", sampled(members("dynamics")))
def test_a_step_of_filtering_and_one_of_imagination(name):
    dynamics = build("dynamics", name, embedding_size=5, action_size=2)
    noise, data = dynamics.draw_noise(ROWS, TIMES, generator=seeded()), batch()
    prepared = dynamics.prepare(normal(ROWS, TIMES, 5), data.action, data.is_first)
    check(dynamics.recur, dynamics.initial(ROWS), tuple(part[:, 0] for part in prepared), noise[:, 0])
    check(dynamics.imagine_step, dynamics.initial(ROWS), data.action[:, 0], noise[:, 0])


@pytest.mark.parametrize(("name", "kind"), sampled(behaviors()))
def test_the_policy_of_a_behavior(name, kind):
    latent = latent_spec("gaussian")
    behavior = build("actor_critics", name, **behavior_sizes(latent, kind))
    features, noise = normal(ROWS, latent.feature_size), behavior.draw_noise(1, ROWS, generator=seeded(2))[0]
    assert behavior.sample(features, noise).shape == (ROWS, ACTIONS[kind].size)
    check(behavior.sample, features, noise)
    check(behavior.sample_with_parameters, features, noise)
