"""The check of a recipe before anything runs: its parts are built on torch's `meta` device, where tensors have shapes and no numbers."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, final

import torch

from framework import composition
from framework.composition import Problem
from framework.errors import UserError

if TYPE_CHECKING:
    from framework.agent import Agent
    from framework.data import Specs
    from framework.training.run import Run

META: Final = torch.device("meta")
Built = TypeVar("Built")


def check(recipe: str | Path, bindings: Sequence[str] = (), *, imports: Sequence[str] = ()) -> list[Problem]:
    """Everything that is wrong with a recipe: what reading it finds, or else what building it refuses, each with its place."""
    plan = composition.plan(recipe, bindings, imports=imports)
    if plan.problems:
        return list(plan.problems)
    composed = composition.compose(plan)
    try:
        return refusals(composed.root(composed=composed))
    except UserError as error:
        return [composed.problem(error)]


def require_sound(run: "Run") -> None:
    """Raise a `UserError` with everything that the parts of a run refuse."""
    if problems := refusals(run):
        raise UserError("\n".join(map(str, problems)))


def refusals(run: "Run") -> list[Problem]:
    """Everything that the parts of a run refuse, alone and together; the refusals of independent parts come at once.

    The environment is asked for its specs; agent and replay are built without memory; objectives and behavior are asked about the batches
    that the replay gives.
    """
    attempt = _Attempts()
    environment = attempt(lambda: _describe_environment(run))
    if environment is None:
        return attempt.problems(run)
    specs, action_repeat = environment
    with META:
        replay = attempt(lambda: run.replay(specs=specs, streams=run.environments, device=META, seed=0))
        agent = attempt(lambda: run.agent_factory(specs=specs))
    if replay is not None:
        length, environments = replay.length, run.environments
        attempt(lambda: run.trainer.check(length=length, environments=environments, action_repeat=action_repeat))
    if replay is not None and agent is not None:
        for check_part in _batch_checks(agent, rows=replay.batch, times=replay.length, extra=replay.extra):
            attempt(check_part)
    return attempt.problems(run)


@final
class _Attempts:
    """Calls functions and collects the `UserError` of each."""

    def __init__(self) -> None:
        self.errors: list[UserError] = []

    def __call__(self, function: Callable[[], Built]) -> Built | None:
        try:
            return function()
        except UserError as error:
            self.errors.append(error)
            return None

    def problems(self, run: "Run") -> list[Problem]:
        return list(dict.fromkeys(run.composed.problem(error) for error in self.errors))


def _describe_environment(run: "Run") -> tuple["Specs", int]:
    """The specs of the environment, and its control steps for each action."""
    with run.vector(1, mode="serial") as vector:
        return vector.specs, vector.action_repeat


def _batch_checks(agent: "Agent", *, rows: int, times: int, extra: int) -> Iterator[Callable[[], None]]:
    for objective in agent.world_model.each_objective:
        yield partial(objective.check, rows=rows, times=times, extra=extra)
    steps = rows * times
    yield partial(agent.behavior.check, rollouts=min(agent.imagination_starts or steps, steps), steps=steps)
