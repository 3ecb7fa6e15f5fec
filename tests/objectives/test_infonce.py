"""InfoNCE as an objective: losses and metrics against its reference, offsets, gradients, diagnostics, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from framework import critics
from framework.contrastive.compatibility import check_some_have_negatives
from framework.errors import UserError
from framework.testing.samples import DYNAMICS, ROWS, TIMES, contrast, example, key_of, latent_spec, origin, requiring_gradient
from tests.members import factory
from tests.objectives.contrasts import make, pairs
from tests.reference import infonce
from tests.reference.copies import array


class OverObservations(critics.Critic):
    """A score that claims to be a density over observations."""

    normalized_over = "observation"
    cost = "one product"

    def __init__(self, *, latent, embedding_size) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings):
        return latents.features[:, :1] @ embeddings[:, :1].T


def run(objective, batch=None):
    """Losses and metrics of an example."""
    return objective(example() if batch is None else batch, DYNAMICS, key_of(0))


def by_reference(objective, batch):
    """The loss of every step, and the mean over offsets and axes of the mean estimate of pairs inside an episode."""
    losses, estimates = torch.zeros(ROWS, TIMES), []
    for offset, critic in zip(objective.offsets, objective.critics, strict=True):
        length, inside = TIMES - offset, pairs(batch, offset)
        row, time = np.divmod(np.arange(ROWS * length), length)
        kept = (
            np.eye(ROWS * length, dtype=bool)
            | {
                "InBatch": row[:, None] >= 0,
                "SameTimestep": time[:, None] == time,
                "WithinSequence": row[:, None] == row,
                "CrossSequence": row[:, None] != row,
            }[type(objective.negatives).__name__]
        )
        scores = array(critic(batch.posterior.before(length).flatten(), batch.embedding[:, offset:].flatten(0, 1)))
        for axis in objective.axes:
            loss = {"row": infonce.row_loss, "column": infonce.column_loss}[axis](scores, kept).reshape(ROWS, length)
            for place in inside:
                losses[place] += loss[place] / len(objective.offsets) / len(objective.axes) * ROWS * TIMES / len(inside)
            estimates.append(np.mean([np.log(kept.sum(axis=1)).reshape(ROWS, length)[place] - loss[place] for place in inside]))
    return losses, np.mean(estimates)


@pytest.mark.parametrize(
    ("axis", "negatives", "offsets"),
    [("row", "InBatch", (0,)), ("symmetric", "CrossSequence", (0,)), ("row", "SameTimestep", (3, 1)), ("column", "WithinSequence", (3, 1))],
)
def test_losses_and_estimate_equal_the_reference(axis, negatives, offsets):
    objective = make(axis=axis, negatives=negatives, offsets=offsets)
    losses, metrics = run(objective)
    expected, estimate = by_reference(objective, example())
    assert torch.allclose(losses["infonce"], expected, atol=1e-4)
    assert (losses["infonce"][:, TIMES - min(offsets) :] == 0).all()
    assert metrics["contrastive/is_lower_bound"].item() == (negatives != "CrossSequence")
    assert metrics["contrastive/estimate"].item() == pytest.approx(estimate, abs=1e-4)


@pytest.mark.parametrize(("gradient", "flows"), [("flow", True), ("stop", False)])
def test_the_candidates_have_a_gradient_only_where_it_flows(gradient, flows):
    batch = example()
    batch = replace(batch, posterior=requiring_gradient(batch.posterior), embedding=batch.embedding.requires_grad_())
    loss = run(make(embedding_gradient=gradient), batch)[0]["infonce"].sum()
    of_latent, of_embedding = torch.autograd.grad(loss, [batch.posterior.stochastic, batch.embedding], allow_unused=True)
    assert (of_latent.abs().sum(dim=-1) > 0).all()
    assert (of_embedding is not None) == flows


def test_metrics_and_diagnostics_have_their_names():
    objective = make("GaussianCritic", diagnostics=[factory("bounds", "Interpolated", alpha=alpha) for alpha in (0.1, 0.9)])
    _, metrics = run(objective)
    names = ("estimate", "is_lower_bound", "ceiling", "alone", "accuracy", "positive_score", "negative_score", "largest_score")
    assert set(metrics) == {f"contrastive/{name}" for name in names}
    assert metrics["contrastive/ceiling"].item() == pytest.approx(math.log(ROWS * TIMES))
    diagnosed = objective.diagnose(example(), DYNAMICS, key_of(0))
    names = ("own_sequence_mass", "sigma_smallest", "Interpolated", "Interpolated_2")
    assert set(diagnosed) == {f"contrastive/{name}" for name in names}
    assert diagnosed["contrastive/Interpolated"] != diagnosed["contrastive/Interpolated_2"]
    assert run(make(negatives="ActionNegatives"))[1]["contrastive/alone"].item() == pytest.approx((ROWS + 1) / (ROWS * TIMES))


def test_strategies_that_leave_no_negative_are_refused_by_check_and_by_diagnose():
    objective = make(negatives="WithinSequence")
    objective.negatives = factory("negatives", "WithinSequence", of=factory("negatives", "CrossSequence"))()
    losses, metrics = run(objective)
    assert metrics["contrastive/alone"] == 1
    assert (losses["infonce"] == 0).all()
    message = r"InfoNCE.negatives leaves no anchor a negative: WithinSequence of CrossSequence keeps nothing"
    with pytest.raises(UserError, match=message):
        objective.diagnose(example(), DYNAMICS, key_of(0))
    with pytest.raises(UserError, match=message):
        objective.check(rows=ROWS, times=TIMES, extra=0)


def test_a_single_episode_may_leave_all_anchors_alone_and_a_single_sequence_not():
    batch = example()
    batch = replace(batch, batch=replace(batch.batch, episode=torch.zeros_like(batch.batch.episode)))
    objective = make(negatives="EpisodeExcluded")
    assert run(objective, batch)[1]["contrastive/alone"] == 1
    assert "contrastive/own_sequence_mass" in objective.diagnose(batch, DYNAMICS, key_of(0))
    strategy = factory("negatives", "CrossSequence")()
    with pytest.raises(UserError, match=r"the positives of 1 x 4 steps.*Replay.batch"):
        check_some_have_negatives("InfoNCE", strategy, strategy(contrast(torch.zeros(4, 4), origin(1, 4)), key_of(0)))


CHECKS = [
    ({"offsets": (1, TIMES)}, {}, rf"InfoNCE.offsets = \(1, {TIMES}\), and sequences are {TIMES} steps long.*Replay.length"),
    ({"negatives": "CrossSequence"}, {"rows": 1}, r"leaves no anchor a negative: CrossSequence keeps nothing.*1 x 5 steps"),
    ({"negatives": "SameTimestep"}, {"rows": 1}, r"leaves no anchor a negative: SameTimestep"),
    ({"negatives": "WithinSequence"}, {"times": 1}, r"leaves no anchor a negative: WithinSequence"),
    ({"negatives": "TopK", "settings": {"count": 15}}, {}, r"TopK.count = 15, and there are 14 negatives"),
    ({"negatives": "UniformSubset", "settings": {"candidates": 16}}, {}, r"UniformSubset.candidates = 16, and there are 15 candidates"),
    ({"negatives": "ReplayNegatives"}, {}, r"ReplayNegatives needs steps of their own.*Replay.extra_candidates"),
    ({"bound": "SMILE", "chunk_above": 14}, {}, r"SMILE joins all anchors.*3 x 5 steps.*bind InfoNCE.chunk_above = 15"),
]


@pytest.mark.parametrize(("settings", "batch", "message"), CHECKS)
def test_check_refuses_a_batch_that_does_not_suffice(settings, batch, message):
    sizes = {"rows": ROWS, "times": TIMES, "extra": 0}
    with pytest.raises(UserError, match=message):
        make(**settings).check(**(sizes | batch))


OFF_AXIS = r"GaussianCritic, a density over the latent.*'row'.*'column_as_released'"
REFUSED = [
    ({"critic": "PriorCritic", "axis": "column"}, r"PriorCritic needs the prior, and InfoNCE.anchor = 'posterior'; bind InfoNCE.anchor"),
    ({"critic": "PriorCritic", "anchor": "prior"}, r"InfoNCE.axis = 'row' does not fit PriorCritic.*bind InfoNCE.axis = 'column'"),
    *(({"critic": "GaussianCritic", "axis": axis}, OFF_AXIS) for axis in ("column", "symmetric")),
    *(({"critic": OverObservations, "axis": axis}, r"bind InfoNCE.axis = 'column'") for axis in ("row", "symmetric")),
    ({"critic": "GaussianCritic", "spec": latent_spec("categorical")}, r"GaussianCritic takes a latent that is gaussian"),
    ({"critic": "PriorCritic", "anchor": "prior", "axis": "column", "offsets": (1,)}, r"InfoNCE.offsets = \(1,\), and PriorCritic"),
    ({"negatives": "MoCHi"}, r"MoCHi mixes unit vectors, and BilinearCritic has none"),
    ({"negatives": "MemoryQueue", "offsets": (1, 2)}, r"MemoryQueue adds candidates for the offset 0"),
    ({"offsets": (1, 1)}, r"InfoNCE.offsets = \(1, 1\) must be different steps of 0 or more"),
    ({"offsets": ()}, r"InfoNCE.offsets = \(\) must be different"),
    ({"offsets": (-1,)}, r"InfoNCE.offsets = \(-1,\) must be different"),
    ({"chunk_above": 0}, r"InfoNCE.chunk_above = 0 must be at least 1"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
