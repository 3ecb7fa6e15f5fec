"""What the components of an agent must give to an update: the checks of dry runs, of first updates, and of tests of components."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn

from framework.agent import Agent
from framework.critics.base import examined
from framework.data import InferredBatch
from framework.dynamics.base import Dynamics
from framework.errors import UserError
from framework.functional.random import Key
from framework.heads.base import Head
from framework.objectives.base import Objective
from framework.signatures import source_of
from framework.training.compiled_steps import patched

Shape = tuple[int, ...]


@contextmanager
def contract(agent: Agent, shape: Shape) -> Iterator[None]:
    """Within it, what components give for a batch of this shape is checked.

    Raises `UserError` for losses and metrics of another form, and for critics whose scores are no numbers or in the wrong places.
    """
    model, behavior = agent.world_model, agent.behavior
    with ExitStack() as stack:

        def watch(component: nn.Module, method: str, check: Callable[..., None]) -> None:
            """Call `check` with what a method gives and with its arguments."""
            function = getattr(component, method)

            @wraps(function)
            def checked(*arguments: Any, **named: Any) -> Any:
                given = function(*arguments, **named)
                check(given, *arguments)
                return given

            stack.enter_context(patched(component, method, checked))

        stack.enter_context(examined(agent))
        watch(model.dynamics, "kl_loss", lambda given, *_: check_losses_and_metrics(model.dynamics, given, ("kl",), shape))
        for name, head in model.each_head.items():
            watch(head, "loss", partial(_check_head, head, name, shape))
        for each in model.each_objective:
            watch(each, "forward", partial(_check_objective, each, shape))
        watch(behavior, "losses", lambda given, *_: check_losses_and_metrics(behavior, given, behavior.groups))
        yield


def _check_head(head: Head, name: str, shape: Shape, given: Any, *_: Any) -> None:
    check_losses(head, {name: given}, (name,), shape)


def _check_objective(objective: Objective, shape: Shape, given: Any, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> None:
    check_losses_and_metrics(objective, given, objective.losses, shape)
    with torch.no_grad():
        check_metrics(objective, objective.diagnose(inferred.detach(), dynamics, key))


def check_losses_and_metrics(component: nn.Module, given: Any, names: Sequence[str], shape: Shape | None = None) -> None:
    """Refuse what is not a dictionary of the losses of these names and one of metrics. Of a behavior, a loss has any shape."""
    if not isinstance(given, tuple) or len(given) != 2 or not all(isinstance(each, Mapping) for each in given):
        raise UserError(f"{_named(component)} must give two dictionaries, its losses and its metrics, and gives {_form(given)}.")
    check_losses(component, given[0], names, shape)
    check_metrics(component, given[1])


def check_losses(component: nn.Module, losses: Mapping[str, Any], names: Sequence[str], shape: Shape | None = None) -> None:
    """Refuse losses of other names, and those that are not one number in float32 for each step of the batch."""
    if {*losses} != {*names}:
        raise UserError(f"{_named(component)} gives the losses {[*losses]}, and declares {[*names]}; make the two agree.")
    for name, loss in losses.items():
        is_tensor = isinstance(loss, Tensor) and loss.dtype == torch.float32
        if not is_tensor or (shape is not None and loss.shape != shape):
            each = "" if shape is None else f", one number for each step of the batch, [B, T] = {[*shape]}"
            raise UserError(f"{_named(component)} gives the loss '{name}' as {_form(loss)}, and a loss is a float32 tensor{each}.")


def check_metrics(component: nn.Module, metrics: Mapping[str, Any]) -> None:
    """Refuse metrics that are not tensors of one number, without gradient: reading a float waits for the device."""
    for name, metric in metrics.items():
        if not isinstance(metric, Tensor) or metric.dim() or metric.requires_grad:
            raise UserError(
                f"{_named(component)} gives the metric '{name}' as {_form(metric)}, and a metric is a tensor of one number without "
                "gradient: write tensor.mean().detach()."
            )
        if "/" not in name:
            raise UserError(
                f"{_named(component)} gives the metric '{name}', and a metric has a group before its name, as in 'model/{name}'."
            )


def _named(component: nn.Module) -> str:
    file, line = source_of(type(component))
    return f"{type(component).__name__} ({file}:{line})"


def _form(given: object) -> str:
    if not isinstance(given, Tensor):
        return f"a {type(given).__name__}"
    gradient = " with gradient" if given.requires_grad else ""
    return f"{str(given.dtype).removeprefix('torch.')} of shape {[*given.shape]}{gradient}"
