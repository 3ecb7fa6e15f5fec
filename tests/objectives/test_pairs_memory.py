"""Blocks never hold the whole matrix: counted in numbers of a tensor and bytes of an update, against one matrix of all."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from framework.contrastive.pairs import SHARE
from framework.measurement.memory import peak_bytes
from tests.members import members
from tests.objectives.pairs import STEPS, given, gradients, make
from tests.tiny import DYNAMICS, seed_of
from tests.training.tape import tensors

SIDE = 16
LARGE = SIDE * SIDE
"""Steps of a batch whose scores are many more than its other numbers; half as many allow blocks of 16 anchors, 4,096 scores."""


class Watching(TorchDispatchMode):
    """Which operators there are, and the numbers of the largest tensor that one of them made; a view makes none."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.names.append(func.overloadpacket.__name__)
        if not func.is_view:
            self.largest = max([self.largest, *(each.numel() for each in tensors(result))])
        return result


def test_a_batch_as_large_as_allowed_is_one_matrix_as_ever():
    """To the bit, and by the same operators."""
    (seen, leaves), said = given(), []
    for most in (STEPS, 16_384, STEPS - 1):
        objective = make(negatives="UniformSubset", chunk_above=most)
        with Watching() as watching:
            losses, metrics = objective(seen, DYNAMICS, seed_of(0))
            found = gradients(objective, leaves, losses)
        said.append((watching.names, list(tensors([losses, metrics, found]))))
    assert said[0][0] == said[1][0] != said[2][0]
    assert all(torch.equal(one, other) for one, other in zip(said[0][1], said[1][1], strict=True))


@pytest.mark.parametrize(
    ("negatives", "axis"),
    [*((name, "row") for name in members("negatives")), ("InBatch", "column"), ("InBatch", "symmetric"), ("TopK", "column")],
)
def test_no_tensor_has_more_numbers_than_a_block(negatives, axis):
    """Forward, backward, on request and after the update; a strategy adds up to 8 candidates."""
    assert _largest(negatives, axis, LARGE) >= LARGE**2
    assert _largest(negatives, axis, LARGE // 2) <= (LARGE // 2) ** 2 / SHARE / LARGE * (LARGE + 8)


def _largest(negatives: str, axis: str, most: int) -> int:
    objective, (seen, leaves) = make(negatives=negatives, axis=axis, chunk_above=most), given(rows=SIDE, times=SIDE)
    objective.images = []  # a picture has more numbers than these scores
    with Watching() as watching:
        gradients(objective, leaves, objective(seen, DYNAMICS, seed_of(0))[0])
        with torch.no_grad():
            objective.diagnose(seen, DYNAMICS, seed_of(0))
            objective.after_update(seen, DYNAMICS, seed_of(0))
    return watching.largest


@pytest.mark.parametrize(("critic", "axis"), [("BilinearCritic", "row"), ("BilinearCritic", "symmetric"), ("DistanceCritic", "row")])
def test_few_matrices_of_a_block_are_held_at_once(critic, axis):
    """In bytes at the peak of an update, gradients included."""
    steps = 4 * LARGE
    block = 4 * (steps // 2) ** 2 / SHARE
    assert _held(critic, axis, steps) > 2 * 4 * steps**2
    assert _held(critic, axis, steps // 2) < 8 * block == 4 * steps**2 / 2


def _held(critic: str, axis: str, most: int) -> int:
    objective, (seen, leaves) = make(critic, axis=axis, chunk_above=most), given(rows=2 * SIDE, times=2 * SIDE)

    def update() -> None:
        gradients(objective, leaves, objective(seen, DYNAMICS, seed_of(0))[0])

    update()
    return peak_bytes(update, torch.device("cpu"))
