"""Checks that the contracts of several families share."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dm_env
import numpy as np
import torch
from torch import Tensor, nn

from framework.data import Latent, Losses, Metrics
from framework.training.contract import check_losses, check_metrics
from framework.vector_environments.base import VectorStep


def assert_reaches(loss: Tensor, module: nn.Module) -> None:
    """Every trained parameter of a module has a gradient that is not zero."""
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert loss.requires_grad or not named, "the loss has no gradient at all: something on its way is detached"
    gradients = torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True) if named else ()
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None, f"no loss reaches the parameter '{name}'"
        assert gradient.abs().sum() > 0, f"the gradient of the parameter '{name}' is zero"


def assert_metrics(component: nn.Module, metrics: Metrics) -> None:
    """Each is one finite number in a tensor, without gradient."""
    check_metrics(component, metrics)
    wrong = [name for name, value in metrics.items() if not value.isfinite()]
    assert not wrong, f"the metric '{wrong[0]}' is nan or infinite"


def assert_losses(component: nn.Module, losses: Losses, names: Sequence[str], shape: tuple[int, ...] | None = None) -> None:
    """Each has a finite number for each step, or any shape where none is given."""
    check_losses(component, losses, names, shape)
    wrong = [name for name, loss in losses.items() if not loss.isfinite().all()]
    assert not wrong, f"the loss '{wrong[0]}' has numbers that are nan or infinite"


def assert_shape(what: str, value: object, *shape: int) -> None:
    """A float32 tensor of finite numbers."""
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, and must be a tensor"
    assert [*value.shape] == [*shape], f"{what} has the shape {[*value.shape]}, and must have {[*shape]}"
    assert value.dtype == torch.float32, f"{what} is {value.dtype}, and must be float32"
    assert value.isfinite().all(), f"{what} has numbers that are nan or infinite"


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Within it, no parameter and no buffer changes."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    yield
    changed = [name for name, value in module.state_dict().items() if not torch.equal(before[name], value)]
    assert not changed, f"a call changes '{changed[0]}': state changes in `after_update` alone"


def assert_same_steps(steps: list[dm_env.TimeStep], others: list[dm_env.TimeStep]) -> None:
    """Equal to the bit."""
    assert len(steps) == len(others) > 0
    for step, other in zip(steps, others, strict=True):
        assert (step.step_type, step.reward, step.discount) == (other.step_type, other.reward, other.discount)
        assert step.observation.keys() == other.observation.keys()
        for name, array in step.observation.items():
            np.testing.assert_array_equal(array, other.observation[name])


def assert_same_vector_steps(steps: VectorStep, others: VectorStep) -> None:
    """Equal to the bit."""
    for name in ("action", "reward", "is_first", "is_last", "is_terminal", "episode"):
        np.testing.assert_array_equal(getattr(steps, name), getattr(others, name))
    assert steps.observation.keys() == others.observation.keys()
    for name, array in steps.observation.items():
        np.testing.assert_array_equal(array, others.observation[name])


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in a value, in its order."""
    match value:
        case Tensor():
            yield value
        case Latent():
            yield from tensors(list(vars(value).values()))
        case Mapping():
            yield from tensors(list(value.values()))
        case list() | tuple():
            for each in value:
                yield from tensors(each)


def parts_of(latents: Iterable[Latent] | Latent) -> list[Tensor]:
    """Sample, deterministic part and statistics."""
    joined = [latents] if isinstance(latents, Latent) else latents
    return [part for each in joined for part in (each.stochastic, each.deterministic, *each.statistics.values())]
