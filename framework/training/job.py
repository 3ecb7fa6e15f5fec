"""A job of several ranks, started by `torchrun`: its process group, and what one rank does for all.

Every rank runs the same program, with environments and a replay of its own. Rank 0 alone tracks, evaluates and makes the folder of the run.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

import torch

from framework.errors import UserError
from framework.functional import ranks
from framework.functional.ranks import Ranks
from framework.training.runtime import Runtime, derive

Result = TypeVar("Result")
PATIENCE: Final = timedelta(hours=2)
"""How long ranks wait for one of them, as for an evaluation by rank 0. One that dies is noticed at once."""
STREAM: Final = 1_000
_joined: list[tuple[Ranks, Any]] = []
"""This process's place, and the process group of the thread that writes checkpoints, whose messages must not mix with training's."""


def launched() -> Ranks:
    """The place of this process in the job that torchrun started, or one of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return Ranks(int(os.environ["RANK"]), size) if size > 1 else Ranks()


def command(size: int) -> str:
    """The command `dream` of so many ranks on one machine."""
    return f"torchrun --nproc-per-node {size} -m framework" if size > 1 else "dream"


@contextmanager
def joined(runtime: Runtime) -> Iterator[None]:
    """Join the job of `torchrun`, where there is one and it is not joined yet."""
    own = launched()
    if own.size == 1 or _joined:
        yield
        return
    import torch.distributed as distributed

    distributed.init_process_group(runtime.collectives(), timeout=PATIENCE)
    _joined.append((own, distributed.new_group(backend="gloo", timeout=PATIENCE)))
    with ranks.joined(own):
        yield
    _joined.clear()
    distributed.destroy_process_group()  # after an error the process ends, and with it its connections


def place() -> Ranks:
    """This process in the job that it joined, in any thread, also while it computes by itself."""
    return _joined[0][0] if _joined else Ranks()


def first(work: Callable[[], Result]) -> Result:
    """The result, on every rank, of what rank 0 does for all, and its `UserError`. Within the work it is alone."""
    if ranks.size() == 1:
        return work()
    import torch.distributed as distributed

    with ranks.alone():
        outcome = [_outcome(work) if place().rank == 0 else None]
    distributed.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
    return cast(Result, _results(outcome)[0])


def all_in_writer(work: Callable[[], Result]) -> list[Result]:
    """The results of all ranks, and the `UserError` of any, on every rank; for the thread that writes checkpoints."""
    if not _joined:
        return [work()]
    import torch.distributed as distributed

    outcomes: list[Any] = [None] * place().size
    distributed.all_gather_object(outcomes, _outcome(work), group=_joined[0][1])
    return _results(outcomes)


def first_in_writer(work: Callable[[], Result]) -> Result:
    """`first`, for the thread that writes checkpoints."""
    return cast(Result, all_in_writer(work if place().rank == 0 else _nothing)[0])


def own_seed(seed: int) -> int:
    """The seed from which this rank's environments, replay and generators derive theirs; that of rank 0 is the run's."""
    return derive(seed, STREAM + ranks.rank()) if ranks.rank() else seed


def _nothing() -> None:
    return None


def _outcome(work: Callable[[], Any]) -> tuple[Any, str | None]:
    """The result, or the message of the `UserError`."""
    try:
        return work(), None
    except UserError as error:
        return None, str(error)


def _results(outcomes: list[Any]) -> list[Any]:
    if errors := [error for _, error in outcomes if error is not None]:
        raise UserError(errors[0])
    return [result for result, _ in outcomes]
