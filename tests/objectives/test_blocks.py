"""Anchors in blocks: losses, metrics, gradients and draws of one matrix, and less memory."""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from framework.contrastive.pairs import SHARE, blocks_of
from framework.errors import UserError
from framework.testing.checks import tensors
from framework.testing.samples import DYNAMICS, LATENT, example, key_of, latent_spec
from tests.members import factory, members
from tests.objectives.contrasts import gradients, leaves_of, make

ROWS, TIMES, MOST = 4, 6, 22
STEPS = ROWS * TIMES
JOINING = ["DonskerVaradhan", "MINE", "SMILE"]


def evaluations(objective, batch, autocast: bool = False):
    """Losses, metrics and gradients in one matrix, and in 5 blocks of anchors."""
    leaves, results = leaves_of(batch), []
    for objective.chunk_above in (STEPS, MOST):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            losses, metrics = objective(batch, DYNAMICS, key_of(0))
        results.append((losses["infonce"], metrics, gradients(objective, leaves, losses)))
    return results


WRAPPED = partial(factory("negatives", "EpisodeExcluded"), of=factory("negatives", "MemoryQueue"))
CASES = [
    *({"critic": "CosineCritic", "negatives": name} for name in members("negatives")),
    *({"critic": critic} for critic in ("BilinearCritic", "GaussianCritic", "DistanceCritic", "ConcatCritic", "SeparableCritic")),
    {"critic": "CategoricalCritic", "spec": latent_spec("categorical")},
    {"critic": "PriorCritic", "anchor": "prior", "axis": "column"},
    {"critic": "CosineCritic", "axis": "symmetric"},
    {"offsets": (1, 2, 3), "axis": "symmetric"},
    {"negatives": "HardWeighted", "settings": {"of": WRAPPED}},
    *({"bound": name} for name in members("bounds") if name not in [*JOINING, "LeaveOneOut"]),
]  # fmt: skip


@pytest.mark.parametrize("settings", CASES, ids=lambda settings: "-".join(str(value) for value in settings.values())[:40])
@pytest.mark.parametrize("autocast", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_losses_metrics_and_gradients_in_blocks_equal_those_of_one_matrix(settings, autocast):
    batch = example(settings.get("spec", LATENT), ROWS, TIMES)
    if autocast and settings.get("negatives") == "ActionNegatives":
        return  # the dynamics runs in bfloat16, and each block rounds the gradients of its weights
    objective = make(**settings)
    for parameter in objective.bound.parameters():  # a start near 0 would hide errors
        torch.nn.init.normal_(parameter, std=0.3)
    (whole, whole_metrics, expected), (losses, metrics, actual) = evaluations(objective, batch, autocast)
    assert len(blocks_of(STEPS, STEPS, MOST)) == 5
    assert losses.dtype == torch.float32
    assert torch.allclose(losses, whole, rtol=1e-4, atol=1e-5)
    for name, value in whole_metrics.items():
        assert metrics[name].item() == pytest.approx(value.item(), rel=1e-5, abs=1e-5)
    compared = [(one, other) for one, other in zip(actual, expected, strict=True) if other is not None]
    assert [one is None for one in actual] == [other is None for other in expected]
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-4) for one, other in compared)


def test_diagnostics_are_those_of_the_first_block():
    objective, batch = make(offsets=(1, 2), chunk_above=MOST), example(rows=ROWS, times=TIMES)
    with torch.no_grad():
        contrast, valid = objective._first(batch, DYNAMICS, key_of(0))
        diagnosed = objective.diagnose(batch, DYNAMICS, key_of(0))
    assert (*contrast.scores.shape, *valid.shape) == (6, 20, 6)
    assert {*diagnosed} == {"contrastive/own_sequence_mass"}


@pytest.mark.parametrize("name", JOINING)
def test_a_bound_that_joins_anchors_is_refused_in_blocks_alone(name):
    objective, batch = make(bound=name, chunk_above=STEPS), example(rows=ROWS, times=TIMES)
    assert objective(batch, DYNAMICS, key_of(0))[0]["infonce"].isfinite().all()
    objective.chunk_above = STEPS - 1
    with pytest.raises(UserError, match=rf"{name} joins all anchors.*4 x 6 steps.*chunk_above = 23.*bind InfoNCE.chunk_above = 24"):
        objective(batch, DYNAMICS, key_of(0))


class LargestTensor(TorchDispatchMode):
    """The size of the largest tensor that an operator makes; a view makes none."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.size = max([self.size, *(tensor.numel() for tensor in tensors(result))])
        return result


@pytest.mark.parametrize(("negatives", "axis"), [("InBatch", "row"), ("HardWeighted", "column")])
def test_no_tensor_has_more_numbers_than_a_block(negatives, axis):
    """Forward, backward, in diagnostics and after the update."""
    side, sizes = 16, []
    large = side * side
    for most in (large, large // 2):
        objective, batch = make(negatives=negatives, axis=axis, chunk_above=most), example(rows=side, times=side)
        leaves = leaves_of(batch)
        with LargestTensor() as largest:
            gradients(objective, leaves, objective(batch, DYNAMICS, key_of(0))[0])
            with torch.no_grad():
                objective.diagnose(batch, DYNAMICS, key_of(0))
                objective.after_update(batch, DYNAMICS, key_of(0))
        sizes.append(largest.size)
    assert sizes[0] >= large**2
    assert sizes[1] <= (large // 2) ** 2 / SHARE
