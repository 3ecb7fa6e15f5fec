"""Action-conditioned CPC: against the reference of each step ahead; its inputs, gradients and metrics."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from framework.data import SecondView
from framework.objectives.action_conditioned_cpc import ActionConditionedCPC
from framework.testing.samples import DYNAMICS, ROWS, TIMES, example, key_of, latent_spec, objective_sizes, requiring_gradient
from tests.members import build, factory
from tests.objectives.contrasts import pairs
from tests.reference import infonce
from tests.reference.copies import array

STEPS = 3


def make(kind="gaussian", critic="SeparableCritic", negatives="InBatch", **settings) -> ActionConditionedCPC:
    torch.manual_seed(0)
    parts = {"critic": critic if callable(critic) else factory("critics", critic), "negatives": factory("negatives", negatives)}
    return build("objectives", "ActionConditionedCPC", **objective_sizes(latent_spec(kind)), **(parts | {"steps": STEPS} | settings))


def by_reference(objective, sample, latents, targets):
    """The loss of every step, and the mean over the steps ahead of the mean estimate of pairs inside an episode."""
    losses, estimates = torch.zeros(ROWS, TIMES), []
    for k, critic in enumerate(objective.critics):
        length, inside = TIMES - k, pairs(sample, k)
        ahead = [sample.batch.action[:, j : j + length] for j in range(1, k + 1)]
        anchors = latents.before(length)
        anchors = replace(anchors, deterministic=torch.cat([anchors.deterministic, *ahead], dim=-1)).flatten()
        scores = array(critic(anchors, targets[:, k:].flatten(0, 1)))
        loss = infonce.row_loss(scores, np.ones_like(scores, dtype=bool)).reshape(ROWS, length)
        for place in inside:
            losses[place] += objective.weights[k] * loss[place] * ROWS * TIMES / len(inside)
        estimates.append(np.mean([np.log(ROWS * length) - loss[place] for place in inside]))
    return losses, np.mean(estimates)


@pytest.mark.parametrize(
    ("kind", "anchor", "positive"),
    [("gaussian", "prior", "second_view"), ("categorical", "posterior", "embedding"), ("gaussian", "prior", "stochastic")],
)
def test_losses_and_estimate_equal_the_reference(kind, anchor, positive):
    objective, sample = make(kind, anchor=anchor, positive=positive), example(latent_spec(kind))
    latents = {"prior": sample.prior, "posterior": sample.posterior}[anchor]
    targets = {
        "second_view": sample.second.embedding,
        "embedding": sample.embedding,
        "stochastic": sample.posterior.stochastic,
    }[positive]
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    expected, estimate = by_reference(objective, sample, latents, targets)
    assert torch.allclose(losses["action_conditioned_cpc"], expected, atol=1e-5)
    assert metrics["contrastive/estimate"].item() == pytest.approx(estimate.item(), abs=1e-5)


def test_the_weights_of_the_steps_are_discounted_and_sum_to_one():
    assert make().weights == pytest.approx([weight / (1 + 0.75 + 0.75**2) for weight in (1, 0.75, 0.75**2)])
    assert make(steps=4, discount=1.0).weights == pytest.approx([0.25] * 4)
    assert make(steps=1).weights == [1.0]


def test_the_strategy_chooses_the_negatives():
    sample = example()
    _, everything = make()(sample, DYNAMICS, key_of(0))
    _, within = make(negatives="WithinSequence", steps=1)(sample, DYNAMICS, key_of(0))
    assert within["contrastive/ceiling"].exp().item() == pytest.approx(TIMES)
    assert everything["contrastive/ceiling"] > within["contrastive/ceiling"]
    across = make(negatives="CrossSequence")(sample, DYNAMICS, key_of(0))[1]
    assert (everything["contrastive/is_lower_bound"].item(), across["contrastive/is_lower_bound"].item()) == (1, 0)


@pytest.mark.parametrize("positive", ["second_view", "embedding", "stochastic"])
def test_both_sides_have_gradients(positive):
    objective, sample = make(positive=positive), example()
    posterior, prior = requiring_gradient(sample.posterior), requiring_gradient(sample.prior)
    embedding, again = sample.embedding.clone().requires_grad_(), sample.second.embedding.clone().requires_grad_()
    second = SecondView(embedding=again, slow_embedding=sample.second.slow_embedding)
    changed = replace(sample, posterior=posterior, prior=prior, embedding=embedding, second=second)
    loss = objective(changed, DYNAMICS, key_of(0))[0]["action_conditioned_cpc"].sum()
    leaves = {"second_view": again, "embedding": embedding, "stochastic": posterior.stochastic}
    values = torch.autograd.grad(loss, [prior.deterministic, *leaves.values()], allow_unused=True)
    assert (values[0].abs().sum(dim=-1) > 0).all()
    assert [gradient is not None for gradient in values[1:]] == [name == positive for name in leaves]
    reaching = next(gradient for gradient in values[1:] if gradient is not None)
    assert (reaching.abs().sum(dim=-1) > 0).all()


def test_outside_of_training_the_first_view_replaces_the_second():
    objective, sample = make(), replace(example(), second=None)
    diagnosed = objective.diagnose(sample, DYNAMICS, key_of(0))
    assert set(diagnosed) == {"contrastive/own_sequence_mass"}
    assert diagnosed == objective.diagnose(replace(sample, second=SecondView(embedding=sample.embedding)), DYNAMICS, key_of(0))
