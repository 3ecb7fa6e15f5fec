"""InfoNCE as an objective: each loss at its own step, what is detached, and which pairs are refused."""

import math
from dataclasses import replace

import pytest
import torch

from framework import critics
from framework.contrastive.metrics import check_some_have_negatives
from framework.errors import UserError
from framework.objectives.infonce import InfoNCE
from tests.members import factory
from tests.tiny import (
    ACTIONS,
    DYNAMICS,
    LATENT,
    OBSERVATIONS,
    ROWS,
    TIMES,
    batch,
    contrast,
    inferred,
    latent,
    normal,
    origin,
    requiring_gradient,
    seed_of,
)


class OverObservations(critics.Critic):
    """A score that claims to be a density over observations."""

    normalized_over = "observation"
    cost = "one product"

    def __init__(self, *, latent, embedding_size) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings):
        return latents.features[:, :1] @ embeddings[:, :1].T


def make(critic="BilinearCritic", negatives="InBatch", **settings) -> InfoNCE:
    return InfoNCE(
        latent=LATENT,
        embedding_size=5,
        observation=OBSERVATIONS["both"],
        action=ACTIONS["continuous"],
        critic=critic if callable(critic) else factory("critics", critic),
        negatives=factory("negatives", negatives),
        bound=factory("bounds", "InfoNCEBound"),
        **settings,
    )


def given():
    return latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, 5, seed=3), batch("both")


@pytest.mark.parametrize("axis", ["row", "column", "symmetric"])
@pytest.mark.parametrize("negatives", ["InBatch", "SameTimestep", "WithinSequence", "CrossSequence"])
def test_it_equals_nested_loops_over_the_batch(axis, negatives):
    objective = make(axis=axis, negatives=negatives)
    posterior, prior, embedding, data = given()
    losses, metrics = objective(inferred(posterior, prior, embedding, data), DYNAMICS, seed_of(0))

    def score(anchor, candidate) -> float:
        one = posterior.map(lambda tensor: tensor[anchor][None])
        return objective.critic(one, embedding[candidate][None]).item()

    def keeps(anchor, candidate) -> bool:
        same_row, same_time = anchor[0] == candidate[0], anchor[1] == candidate[1]
        rule = {"InBatch": True, "SameTimestep": same_time, "WithinSequence": same_row, "CrossSequence": not same_row}
        return rule[negatives] or anchor == candidate

    steps = [(b, t) for b in range(ROWS) for t in range(TIMES)]
    estimates = []
    for step in steps:
        rows = [math.exp(score(step, other)) for other in steps if keeps(step, other)]
        columns = [math.exp(score(other, step)) for other in steps if keeps(other, step)]
        of_axis = {"row": [rows], "column": [columns], "symmetric": [rows, columns]}[axis]
        expected = sum(math.log(sum(each)) for each in of_axis) / len(of_axis) - score(step, step)
        assert losses["infonce"][step].item() == pytest.approx(expected, abs=1e-4)
        estimates.append(sum(math.log(len(each)) for each in of_axis) / len(of_axis) - expected)
    assert objective.estimate_key == "contrastive/estimate" + ("_no_bound" if negatives == "CrossSequence" else "")
    assert metrics[objective.estimate_key].item() == pytest.approx(sum(estimates) / len(estimates), abs=1e-4)


@pytest.mark.parametrize(("gradient", "flows"), [("flow", True), ("stop", False)])
def test_the_candidates_get_gradient_only_if_asked(gradient, flows):
    posterior, embedding = requiring_gradient(given()[0]), given()[2].requires_grad_()
    losses, _ = make(embedding_gradient=gradient)(inferred(posterior, given()[1], embedding, given()[3]), DYNAMICS, seed_of(0))
    of_latent, of_embedding = torch.autograd.grad(losses["infonce"].sum(), [posterior.stochastic, embedding], allow_unused=True)
    assert (of_latent.abs().sum(dim=-1) > 0).all()
    assert (of_embedding is not None) == flows


def test_the_diagnostics_of_the_contrast_are_all_there():
    objective = make("GaussianCritic")
    posterior, prior, embedding, data = given()
    seen = inferred(posterior, prior, embedding, data)
    _, metrics = objective(seen, DYNAMICS, seed_of(0))
    said = objective.diagnose(seen, DYNAMICS, seed_of(0))
    assert set(metrics) == {
        f"contrastive/{name}" for name in ("estimate", "ceiling", "alone", "accuracy", "positive_score", "negative_score", "largest_score")
    }
    assert set(said) == {f"contrastive/{name}" for name in ("own_sequence_mass", "effective_rank", "sigma_smallest")}
    assert metrics["contrastive/ceiling"].item() == pytest.approx(math.log(ROWS * TIMES))


@pytest.mark.parametrize("axis", ["column", "symmetric"])
def test_a_density_over_latents_is_refused_off_the_row_axis(axis):
    with pytest.raises(UserError, match=r"GaussianCritic, a density over the latent.*'row'.*'column_as_released'"):
        make("GaussianCritic", axis=axis)


def test_the_released_pair_may_be_asked_for_by_name():
    released, column = make("GaussianCritic", axis="column_as_released"), make(axis="column")
    assert released.axes == column.axes == ("column",)


@pytest.mark.parametrize("axis", ["row", "symmetric"])
def test_a_density_over_observations_is_refused_off_the_column_axis(axis):
    with pytest.raises(UserError, match=r"bind InfoNCE.axis = 'column'"):
        make(OverObservations, axis=axis)
    assert make(OverObservations, axis="column").axes == ("column",)


def test_diagnostics_of_one_class_are_told_apart():
    alphas = (0.1, 0.9)
    objective = make(diagnostics=[factory("bounds", "Interpolated", alpha=alpha) for alpha in alphas])
    seen = inferred(*given())
    said = objective.diagnose(seen, DYNAMICS, seed_of(0))
    for name, alpha in zip(("Interpolated", "Interpolated_2"), alphas, strict=True):
        single = make(diagnostics=[factory("bounds", "Interpolated", alpha=alpha)])
        single.critic = objective.critic  # of the same weights
        assert said[f"contrastive/{name}"] == single.diagnose(seen, DYNAMICS, seed_of(0))["contrastive/Interpolated"]
    assert said["contrastive/Interpolated"] != said["contrastive/Interpolated_2"]


def test_it_says_how_many_anchors_are_alone():
    """A first step has no action, and so no other; the second row has two of them."""
    seen = inferred(*given())
    assert make()(seen, DYNAMICS, seed_of(0))[1]["contrastive/alone"] == 0
    _, metrics = make(negatives="ActionNegatives", anchor="prior")(seen, DYNAMICS, seed_of(0))
    assert metrics["contrastive/alone"].item() == pytest.approx((ROWS + 1) / (ROWS * TIMES))


def test_strategies_that_leave_each_other_nothing_are_refused_when_a_batch_is_looked_at():
    objective, seen = make(negatives="WithinSequence"), inferred(*given())
    objective.negatives = factory("negatives", "WithinSequence", of=factory("negatives", "CrossSequence"))()
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    assert metrics["contrastive/alone"] == 1
    assert (losses["infonce"] == 0).all()
    with pytest.raises(UserError, match=r"InfoNCE.negatives leaves no anchor a negative: WithinSequence of CrossSequence keeps nothing"):
        objective.diagnose(seen, DYNAMICS, seed_of(0))


def test_a_batch_of_one_sequence_cannot_do_without_it():
    strategy = factory("negatives", "CrossSequence")()
    for rows in (2, 1):
        chosen = strategy(contrast(torch.zeros(4 * rows, 4 * rows), origin(rows, 4)), DYNAMICS, seed_of(0))
        if rows > 1:
            check_some_have_negatives("InfoNCE", strategy, chosen)
    with pytest.raises(UserError, match=r"the positives of 1 x 4 steps.*Replay.batch"):
        check_some_have_negatives("InfoNCE", strategy, chosen)


def test_a_single_episode_may_leave_all_alone_for_a_while():
    posterior, prior, embedding, data = given()
    seen = inferred(posterior, prior, embedding, replace(data, episode=torch.zeros_like(data.episode)))
    objective = make(negatives="EpisodeExcluded")
    assert objective(seen, DYNAMICS, seed_of(0))[1]["contrastive/alone"] == 1
    assert "contrastive/effective_rank" in objective.diagnose(seen, DYNAMICS, seed_of(0))
