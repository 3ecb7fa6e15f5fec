"""Environments that fail, and how often a run goes on."""

import logging
from collections.abc import Callable
from typing import final

import numpy as np

from framework.errors import UserError
from framework.vector_environments.base import VectorEnvironment, VectorStep

log = logging.getLogger(__name__)


@final
class Tolerance:
    """Takes steps past the errors of environments, and counts them in `total`.

    Where an environment fails, its episode ends there, as by a time limit, and a fresh environment begins the next. After `most` errors of
    one environment in a row, with no end of an episode between them, the error is raised, and one that lasts at once; a step that was in
    flight is so still.
    """

    def __init__(self, *, most: int = 3, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.most, self.interrupted, self.total = most, interrupted, 0
        self._in_a_row: dict[int, int] = {}

    def take(self, vector: VectorEnvironment, step: Callable[[], VectorStep]) -> VectorStep | None:
        """The step of `vector.reset` or `vector.receive`; None where an interrupt ended the wait for it, which leaves it in flight."""
        while True:
            try:
                taken = step()
            except UserError as error:
                if self.interrupted():
                    return None
                if error.is_lasting:
                    raise
                self._count(vector.failed, error)
                step = vector.recover
            else:
                for index in np.flatnonzero(taken.is_last):
                    self._in_a_row.pop(int(index), None)
                return taken

    def _count(self, failed: list[int], error: UserError) -> None:
        self.total += len(failed)
        for index in failed:
            self._in_a_row[index] = self._in_a_row.get(index, 0) + 1
        times = max(self._in_a_row[index] for index in failed)
        if times >= self.most:
            raise UserError(
                f"{error} That is error {times} in a row: mend the environment and resume, or bind more Run.max_environment_errors."
            ) from error
        log.warning("An environment failed: its episode ends there, and a fresh environment begins the next. %s", error)
