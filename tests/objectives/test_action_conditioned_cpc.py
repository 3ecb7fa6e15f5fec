"""Action-conditioned CPC: against loops over every row, time and step ahead; what is told, and what is found."""

from dataclasses import replace

import pytest
import torch

from framework import critics
from framework.data import SecondView
from framework.errors import UserError
from framework.objectives.action_conditioned_cpc import ActionConditionedCPC
from tests.members import build, factory
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, latent, latent_spec, normal, objective_sizes, requiring_gradient, seed_of

STEPS = 3
WEIGHTS = [weight / (1 + 0.75 + 0.75**2) for weight in (1, 0.75, 0.75**2)]


class OverObservations(critics.Critic):
    """A score that claims to be a density over observations."""

    normalized_over = "observation"
    cost = "one product"

    def __init__(self, *, latent, embedding_size) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings):
        return latents.features[:, :1] @ embeddings[:, :1].T


def make(kind="gaussian", critic="SeparableCritic", negatives="InBatch", **settings) -> ActionConditionedCPC:
    torch.manual_seed(0)
    held = {"critic": critic if callable(critic) else factory("critics", critic), "negatives": factory("negatives", negatives)}
    return build("objectives", "ActionConditionedCPC", **objective_sizes(latent_spec(kind)), **(held | {"steps": STEPS} | settings))


def given(kind="gaussian"):
    """The second row begins a new episode at its third step."""
    spec = latent_spec(kind)
    return inferred(latent(ROWS, TIMES, spec=spec), latent(ROWS, TIMES, spec=spec, seed=5), normal(ROWS, TIMES, 5, seed=3), batch())


def naive(objective, seen, latents, targets):
    """The loss of every step, and the mean over the steps ahead of the mean estimate of pairs inside an episode."""
    losses, estimates = torch.zeros(ROWS, TIMES), []
    for k in range(objective.steps):
        anchors = [(b, t) for b in range(ROWS) for t in range(TIMES - k)]
        found = []
        for b, t in anchors:
            if seen.batch.is_first[b, t + 1 : t + k + 1].any():
                continue
            told = torch.cat([latents.deterministic[b, t], *(seen.batch.action[b, t + j] for j in range(1, k + 1))])
            one = replace(latents.map(lambda part, at=(b, t): part[at][None]), deterministic=told[None])
            scores = torch.stack([objective.critics[k](one, targets[c, s + k][None]).squeeze() for c, s in anchors]).detach()
            loss = scores.logsumexp(dim=0) - scores[anchors.index((b, t))]
            losses[b, t] += objective.weights[k] * loss
            found.append(torch.tensor(float(len(anchors))).log() - loss)
        estimates.append(torch.stack(found).mean())
    return losses, torch.stack(estimates).mean()


@pytest.mark.parametrize(("anchor", "positive"), [("prior", "second_view"), ("posterior", "embedding"), ("prior", "stochastic")])
@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_it_equals_loops_over_rows_times_and_steps_ahead(kind, anchor, positive):
    objective, seen = make(kind, anchor=anchor, positive=positive), given(kind)
    latents = {"prior": seen.prior, "posterior": seen.posterior}[anchor]
    targets = {"second_view": seen.second.embedding, "embedding": seen.embedding, "stochastic": seen.posterior.stochastic}[positive]
    losses, metrics = objective(seen, DYNAMICS, seed_of(0))
    expected, estimate = naive(objective, seen, latents, targets)
    assert torch.allclose(losses["action_conditioned_cpc"], expected, atol=1e-5)
    assert metrics["contrastive/estimate"].item() == pytest.approx(estimate.item(), abs=1e-5)


def test_later_steps_weigh_less_and_all_weigh_one():
    assert make().weights == pytest.approx(WEIGHTS)
    assert make(steps=4, discount=1.0).weights == pytest.approx([0.25] * 4)
    assert make(steps=1).weights == [1.0]


def test_each_step_ahead_has_a_critic_that_is_told_so_many_actions():
    sizes = [critic.from_latent.net[0].in_features for critic in make().critics]
    assert sizes == [4 + 6, 4 + 6 + 2, 4 + 6 + 4]


def test_the_actions_that_follow_are_told_and_those_that_led_there_are_not():
    """A change of the action that led to step 3 of the first row changes what steps 1 and 2 are told, and nothing else."""
    objective, seen = make(negatives="WithinSequence"), given()
    action = seen.batch.action.clone()
    action[0, 3] += 1.0
    changed = replace(seen, batch=replace(seen.batch, action=action))
    one, other = (objective(each, DYNAMICS, seed_of(0))[0]["action_conditioned_cpc"] for each in (seen, changed))
    assert (one[0] != other[0]).tolist() == [False, True, True, False, False]
    assert torch.equal(one[1:], other[1:])


def test_the_negatives_are_chosen_by_the_strategy():
    seen = given()
    _, everything = make()(seen, DYNAMICS, seed_of(0))
    _, within = make(negatives="WithinSequence", steps=1)(seen, DYNAMICS, seed_of(0))
    assert within["contrastive/ceiling"].exp().item() == pytest.approx(TIMES)
    assert everything["contrastive/ceiling"] > within["contrastive/ceiling"]
    assert "contrastive/estimate_no_bound" in make(negatives="CrossSequence")(seen, DYNAMICS, seed_of(0))[1]


@pytest.mark.parametrize("positive", ["second_view", "embedding", "stochastic"])
def test_both_sides_get_gradient(positive):
    objective, seen = make(positive=positive), given()
    posterior, prior = requiring_gradient(seen.posterior), requiring_gradient(seen.prior)
    embedding, again = seen.embedding.clone().requires_grad_(), seen.second.embedding.clone().requires_grad_()
    second = SecondView(embedding=again, slow_embedding=seen.second.slow_embedding)
    changed = replace(seen, posterior=posterior, prior=prior, embedding=embedding, second=second)
    loss = objective(changed, DYNAMICS, seed_of(0))[0]["action_conditioned_cpc"].sum()
    leaves = {"second_view": again, "embedding": embedding, "stochastic": posterior.stochastic}
    found = torch.autograd.grad(loss, [prior.deterministic, *leaves.values()], allow_unused=True)
    assert (found[0].abs().sum(dim=-1) > 0).all()
    assert [gradient is not None for gradient in found[1:]] == [name == positive for name in leaves]
    reached = next(gradient for gradient in found[1:] if gradient is not None)
    assert (reached.abs().sum(dim=-1) > 0).all()


def test_it_learns_which_observation_the_actions_lead_to():
    """Positions are sums of actions: what is seen some steps later is known from here and from what is done."""
    seen = given()
    is_first = seen.batch.is_first & (torch.arange(TIMES) < 1)
    one_episode = replace(seen.batch, is_first=is_first, episode=seen.batch.episode[:, :1].expand(ROWS, TIMES))
    place = one_episode.action.cumsum(dim=1)
    prior = replace(seen.prior, deterministic=torch.cat([place, torch.zeros(ROWS, TIMES, 4)], dim=-1))
    seen = replace(seen, prior=prior, embedding=torch.cat([place, torch.zeros(ROWS, TIMES, 3)], dim=-1), batch=one_episode)
    objective, found = make(positive="embedding"), []
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.03)
    for number in range(60):
        losses, metrics = objective(seen, DYNAMICS, seed_of(number))
        found.append(metrics["contrastive/estimate"].item())
        optimizer.zero_grad()
        losses["action_conditioned_cpc"].mean().backward()
        optimizer.step()
    assert found[0] < 0.1
    assert found[-1] > 1.0


def test_a_second_view_is_asked_for_only_where_it_is_used():
    assert make().needs_second_view
    assert not make(positive="embedding").needs_second_view
    assert not ActionConditionedCPC.needs_second_view


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, r"ActionConditionedCPC.steps = 0 must be at least 1"),
        ({"discount": 0.0}, r"ActionConditionedCPC.discount = 0.0 above 0"),
        ({"critic": "MultiHorizonCritic"}, r"does not score the prior against one embedding"),
        ({"critic": OverObservations}, r"OverObservations is a density over observations.*ActionConditionedCPC.critic"),
        ({"negatives": "ActionNegatives"}, r"ActionNegatives does more than select"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_more_steps_than_a_sequence_has_are_refused():
    assert make(steps=TIMES)(given(), DYNAMICS, seed_of(0))[0]["action_conditioned_cpc"].isfinite().all()
    with pytest.raises(UserError, match=rf"ActionConditionedCPC.steps = {TIMES + 1}, and sequences are {TIMES} steps long.*Replay.length"):
        make(steps=TIMES + 1)(given(), DYNAMICS, seed_of(0))


def test_meters_count_the_anchors_that_have_a_positive():
    """Not the step whose episode ends before the next one, in the second row."""
    objective, seen = make(steps=2), given()
    found = []
    for k, critic in enumerate(objective.critics):
        places = [(b, t) for b in range(ROWS) for t in range(TIMES - k) if not seen.batch.is_first[b, t + 1 : t + k + 1].any()]
        assert len(places) == (ROWS * TIMES, ROWS * (TIMES - 1) - 1)[k]
        told = torch.stack(
            [torch.cat([seen.prior.deterministic[b, t], seen.batch.action[b, t + 1 : t + k + 1].flatten()]) for b, t in places]
        )
        anchors = replace(seen.prior.map(lambda part, at=places: torch.stack([part[place] for place in at])), deterministic=told)
        found.append(critic(anchors, torch.stack([seen.second.embedding[b, t + k] for b, t in places])).diagonal().mean())
    _, metrics = objective(seen, DYNAMICS, seed_of(0))
    assert metrics["contrastive/positive_score"].item() == pytest.approx(torch.stack(found).mean().item(), abs=1e-5)


def test_outside_of_training_the_one_view_there_is_stands_for_the_second():
    objective, seen = make(), replace(given(), second=None)
    said = objective.diagnose(seen, DYNAMICS, seed_of(0))
    assert set(said) == {"contrastive/own_sequence_mass", "contrastive/effective_rank"}
    assert said == objective.diagnose(replace(seen, second=SecondView(embedding=seen.embedding)), DYNAMICS, seed_of(0))
