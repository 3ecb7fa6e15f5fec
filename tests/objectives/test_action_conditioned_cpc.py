"""Action-conditioned CPC: against loops over every row, time and step ahead; its inputs, gradients and metrics."""

from dataclasses import replace

import pytest
import torch

from framework.data import SecondView
from framework.errors import UserError
from framework.objectives.action_conditioned_cpc import ActionConditionedCPC
from tests.members import build, factory
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, latent_spec, normal, objective_sizes, requiring_gradient

STEPS = 3
WEIGHTS = [weight / (1 + 0.75 + 0.75**2) for weight in (1, 0.75, 0.75**2)]


def make(kind="gaussian", critic="SeparableCritic", negatives="InBatch", **settings) -> ActionConditionedCPC:
    torch.manual_seed(0)
    parts = {"critic": critic if callable(critic) else factory("critics", critic), "negatives": factory("negatives", negatives)}
    return build("objectives", "ActionConditionedCPC", **objective_sizes(latent_spec(kind)), **(parts | {"steps": STEPS} | settings))


def example(kind="gaussian"):
    """The second row begins a new episode at its third step."""
    spec = latent_spec(kind)
    return inferred(latent(ROWS, TIMES, spec=spec), latent(ROWS, TIMES, spec=spec, seed=5), normal(ROWS, TIMES, 5, seed=3), batch())


def naive(objective, sample, latents, targets):
    """The loss of every step, and the mean over the steps ahead of the mean estimate of pairs inside an episode."""
    losses, estimates = torch.zeros(ROWS, TIMES), []
    for k in range(objective.steps):
        anchors = [(b, t) for b in range(ROWS) for t in range(TIMES - k)]
        values = []
        for b, t in anchors:
            if sample.batch.is_first[b, t + 1 : t + k + 1].any():
                continue
            inputs = torch.cat([latents.deterministic[b, t], *(sample.batch.action[b, t + j] for j in range(1, k + 1))])
            one = replace(latents.map(lambda part, at=(b, t): part[at][None]), deterministic=inputs[None])
            scores = torch.stack([objective.critics[k](one, targets[c, s + k][None]).squeeze() for c, s in anchors]).detach()
            loss = scores.logsumexp(dim=0) - scores[anchors.index((b, t))]
            losses[b, t] += objective.weights[k] * loss
            values.append(torch.tensor(float(len(anchors))).log() - loss)
        estimates.append(torch.stack(values).mean())
    return losses, torch.stack(estimates).mean()


@pytest.mark.parametrize(("anchor", "positive"), [("prior", "second_view"), ("posterior", "embedding"), ("prior", "stochastic")])
@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_losses_and_estimate_equal_loops_over_rows_times_and_steps_ahead(kind, anchor, positive):
    objective, sample = make(kind, anchor=anchor, positive=positive), example(kind)
    latents = {"prior": sample.prior, "posterior": sample.posterior}[anchor]
    targets = {
        "second_view": sample.second.embedding,
        "embedding": sample.embedding,
        "stochastic": sample.posterior.stochastic,
    }[positive]
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    expected, estimate = naive(objective, sample, latents, targets)
    assert torch.allclose(losses["action_conditioned_cpc"], expected, atol=1e-5)
    assert metrics["contrastive/estimate"].item() == pytest.approx(estimate.item(), abs=1e-5)


def test_the_weights_of_the_steps_are_discounted_and_sum_to_one():
    assert make().weights == pytest.approx(WEIGHTS)
    assert make(steps=4, discount=1.0).weights == pytest.approx([0.25] * 4)
    assert make(steps=1).weights == [1.0]


def test_the_critic_of_each_step_ahead_takes_as_many_actions():
    sizes = [critic.from_latent.net[0].in_features for critic in make().critics]
    assert sizes == [4 + 6, 4 + 6 + 2, 4 + 6 + 4]


def test_the_actions_that_follow_a_latent_are_its_inputs_and_earlier_ones_are_not():
    """A change of the action that led to step 3 of the first row changes the losses of steps 1 and 2, and nothing else."""
    objective, sample = make(negatives="WithinSequence"), example()
    action = sample.batch.action.clone()
    action[0, 3] += 1.0
    changed = replace(sample, batch=replace(sample.batch, action=action))
    one, other = (objective(each, DYNAMICS, key_of(0))[0]["action_conditioned_cpc"] for each in (sample, changed))
    assert (one[0] != other[0]).tolist() == [False, True, True, False, False]
    assert torch.equal(one[1:], other[1:])


def test_the_strategy_chooses_the_negatives():
    sample = example()
    _, everything = make()(sample, DYNAMICS, key_of(0))
    _, within = make(negatives="WithinSequence", steps=1)(sample, DYNAMICS, key_of(0))
    assert within["contrastive/ceiling"].exp().item() == pytest.approx(TIMES)
    assert everything["contrastive/ceiling"] > within["contrastive/ceiling"]
    assert "contrastive/estimate_no_bound" in make(negatives="CrossSequence")(sample, DYNAMICS, key_of(0))[1]


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, r"ActionConditionedCPC.steps = 0 must be at least 1"),
        ({"discount": 0.0}, r"ActionConditionedCPC.discount = 0.0 above 0"),
        ({"critic": "PriorCritic"}, r"does not score the prior against embeddings"),
        ({"negatives": "ActionNegatives"}, r"ActionNegatives does more than select"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_metrics_are_means_over_anchors_with_a_positive():
    """Not the step whose episode ends before the next one, in the second row."""
    objective, sample = make(steps=2), example()
    values = []
    for k, critic in enumerate(objective.critics):
        places = [(b, t) for b in range(ROWS) for t in range(TIMES - k) if not sample.batch.is_first[b, t + 1 : t + k + 1].any()]
        assert len(places) == (ROWS * TIMES, ROWS * (TIMES - 1) - 1)[k]
        inputs = torch.stack(
            [torch.cat([sample.prior.deterministic[b, t], sample.batch.action[b, t + 1 : t + k + 1].flatten()]) for b, t in places]
        )
        anchors = replace(sample.prior.map(lambda part, at=places: torch.stack([part[place] for place in at])), deterministic=inputs)
        values.append(critic(anchors, torch.stack([sample.second.embedding[b, t + k] for b, t in places])).diagonal().mean())
    _, metrics = objective(sample, DYNAMICS, key_of(0))
    assert metrics["contrastive/positive_score"].item() == pytest.approx(torch.stack(values).mean().item(), abs=1e-5)


def test_outside_of_training_the_first_view_replaces_the_second():
    objective, sample = make(), replace(example(), second=None)
    diagnosed = objective.diagnose(sample, DYNAMICS, key_of(0))
    assert set(diagnosed) == {"contrastive/own_sequence_mass", "contrastive/effective_rank"}
    assert diagnosed == objective.diagnose(replace(sample, second=SecondView(embedding=sample.embedding)), DYNAMICS, key_of(0))
