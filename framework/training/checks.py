"""The check of a recipe before anything runs: its parts are built on torch's `meta` device, where tensors have shapes and no numbers."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_buffer_registration_hook, register_module_parameter_registration_hook

from framework import composition
from framework.agent import Agent
from framework.composition import Problem
from framework.environments.server import try_out
from framework.errors import UserError
from framework.functional import ranks
from framework.replay.replay import Replay
from framework.text import display
from framework.training.dry_run import dry_run

if TYPE_CHECKING:
    from framework.training.run import Run

META: Final = torch.device("meta")
LARGEST_TENSOR: Final = 2**36
MOST_TENSORS: Final = 5_000


def check(
    recipe: str | Path, bindings: composition.Overrides = (), *, imports: Iterable[str] = (), trust: bool = False, deep: bool = False
) -> list[Problem]:
    """Everything that is wrong with a recipe, each with its place: what reading it finds, or else what building it refuses.

    Or else, with `deep`, the first fault of one small update, or of the first step of an environment of the user's own.
    """
    plan = composition.plan(recipe, bindings, imports=imports, root=composition.ROOT, trust=trust)
    if plan.problems:
        return list(plan.problems)
    composed = composition.compose(plan)
    try:
        run = composed.root(composed=composed)
        problems = refusals(run)
        if deep and not problems:
            dry_run(run)
            if composed.part("environment").plan.own_components():
                try_out(run.environment)
        return problems
    except UserError as error:
        return [composed.problem(error)]
    except Exception as error:  # the user's own code may raise anything
        if problem := _own_problem(error, composed.modules.values()):
            return [problem]
        raise


def _own_problem(error: Exception, modules: Iterable[Path]) -> Problem | None:
    """An exception at the last line of the user's own modules that it passed; None where it passed none."""
    own = {str(module.resolve()) for module in modules}
    calls = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__) if str(Path(frame.f_code.co_filename).resolve()) in own]
    if not calls:
        return None
    code, line = calls[-1]
    message = f"{code.co_qualname} raises {type(error).__name__}: {str(error) or 'without a message'}; `dream train` shows the traceback."
    return Problem(display(Path(code.co_filename)), line, message)


def require_sound(run: "Run") -> None:
    """Raise a `UserError` with everything that the parts of a run refuse."""
    if problems := refusals(run):
        raise UserError("\n".join(map(str, problems)))


def refusals(run: "Run") -> list[Problem]:
    """Everything that the parts of a run refuse, alone and together; the refusals of independent parts come at once.

    The environment is asked for its specs; agent and replay are built without memory; objectives and behavior are asked about the batches
    that the replay gives.
    """
    errors: list[UserError] = []
    replay: Replay | None = None
    agent: Agent | None = None
    try:
        with run.vector(1, mode="serial") as vector:
            specs, action_repeat = vector.specs, vector.action_repeat
    except UserError as error:
        return [run.composed.problem(error)]
    with _collected(errors):
        run.checkpoint_factory(folder=Path())
    with META, _collected(errors):
        replay = run.replay(specs=specs, streams=run.environments, device=META, seed=0)
    with META, _bounded(), _collected(errors):
        agent = run.agent_factory(specs=specs)
    if replay is not None:
        with _collected(errors):
            run.trainer.check(length=replay.length, environments=run.environments * ranks.size(), action_repeat=action_repeat)
    if replay is not None and agent is not None:
        steps = replay.batch * replay.length
        for objective in agent.world_model.each_objective:
            with _collected(errors):
                objective.check(rows=replay.batch, times=replay.length, extra=replay.extra_candidates)
        with _collected(errors):
            agent.behavior.check(rollouts=min(agent.imagination_starts or steps, steps), steps=steps)
    return list(dict.fromkeys(map(run.composed.problem, errors)))


@contextmanager
def _bounded() -> Iterator[None]:
    """Raise `OverflowError` when a module gets too large a tensor, or too many of them: each takes time and memory on `meta` too.

    And `ValueError` when it gets a parameter without any number.
    """
    tensors = count(1)

    def check_tensor(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        if next(tensors) > MOST_TENSORS:
            raise OverflowError(f"an agent has at most {MOST_TENSORS} tensors of parameters")
        if isinstance(tensor, nn.Parameter) and not tensor.numel():
            raise ValueError(f"the tensor '{name}' of {type(module).__name__} would have no numbers")
        if tensor is not None and tensor.numel() > LARGEST_TENSOR:
            raise OverflowError(f"a tensor of an agent has at most {LARGEST_TENSOR} numbers, and one would have {tensor.numel()}")

    with register_module_parameter_registration_hook(check_tensor), register_module_buffer_registration_hook(check_tensor):
        yield


@contextmanager
def _collected(errors: list[UserError]) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        errors.append(error)
