"""Contrastive predictive coding: an objective over several offsets, against loops over every row, time and offset."""

import pytest
import torch

from framework.errors import UserError
from framework.objectives.infonce import InfoNCE
from tests.members import factory
from tests.tiny import ACTIONS, DYNAMICS, LATENT, OBSERVATIONS, ROWS, TIMES, batch, inferred, latent, normal, requiring_gradient, seed_of

OFFSETS = (1, 3)


def make(critic="BilinearCritic", offsets=OFFSETS, **settings) -> InfoNCE:
    return InfoNCE(
        latent=LATENT,
        embedding_size=5,
        observation=OBSERVATIONS["both"],
        action=ACTIONS["continuous"],
        critic=factory("critics", "MultiHorizonCritic", critic=factory("critics", critic), offsets=offsets),
        negatives=factory("negatives", settings.pop("negatives", "InBatch")),
        bound=factory("bounds", "InfoNCEBound"),
        **settings,
    )


def given():
    """The second row begins a new episode at its third step."""
    return latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, 5, seed=3), batch("both")


def naive(objective, posterior, embedding, data, axis):
    """The loss of every step, and the mean over the offsets of the mean estimate of the pairs inside an episode."""
    losses, estimates = torch.zeros(ROWS, TIMES), []
    for offset in OFFSETS:
        critic = objective.critic.each_offset()[offset]
        anchors = [(b, t) for b in range(ROWS) for t in range(TIMES - offset)]
        found = []
        for b, t in anchors:
            if data.episode[b, t] != data.episode[b, t + offset]:
                continue
            scores = []
            for other, time in anchors:
                step, target = ((b, t), (other, time + offset)) if axis == "row" else ((other, time), (b, t + offset))
                scores.append(critic(posterior.map(lambda part, step=step: part[step][None]), embedding[target][None]).squeeze())
            loss = torch.stack(scores).logsumexp(dim=0) - scores[anchors.index((b, t))]
            losses[b, t] += loss.detach() / len(OFFSETS)
            found.append(torch.tensor(float(len(anchors))).log() - loss.detach())
        estimates.append(torch.stack(found).mean())
    return losses, torch.stack(estimates).mean()


@pytest.mark.parametrize("axis", ["row", "column"])
def test_it_equals_loops_over_rows_times_and_offsets(axis):
    objective, (posterior, prior, embedding, data) = make(axis=axis), given()
    losses, metrics = objective(inferred(posterior, prior, embedding, data), DYNAMICS, seed_of(0))
    expected, estimate = naive(objective, posterior, embedding, data, axis)
    assert torch.allclose(losses["infonce"], expected, atol=1e-5)
    assert metrics["contrastive/estimate"].item() == pytest.approx(estimate.item(), abs=1e-5)


def test_pairs_across_the_end_of_an_episode_count_for_nothing():
    objective, (posterior, prior, embedding, data) = make(offsets=(1,)), given()
    losses, _ = objective(inferred(posterior, prior, embedding, data), DYNAMICS, seed_of(0))
    ends = data.episode[:, :-1] != data.episode[:, 1:]
    assert ends.sum() == 1
    assert (losses["infonce"][:, :-1][ends] == 0).all()
    assert (losses["infonce"][:, :-1][~ends] != 0).all()


def test_the_meters_count_pairs_inside_an_episode_alone():
    diagnostics = [factory("bounds", "InfoNCEBound")]
    objective, (posterior, prior, embedding, data) = make(offsets=(1,), diagnostics=diagnostics), given()
    seen = inferred(posterior, prior, embedding, data)
    _, metrics = objective(seen, DYNAMICS, seed_of(0))
    scores = objective.critic(posterior.before(TIMES - 1).flatten(), embedding[:, 1:].flatten(0, 1))
    inside = (data.episode[:, :-1] == data.episode[:, 1:]).flatten()
    hit = scores.argmax(dim=1) == torch.arange(len(scores))
    for name, each in {"accuracy": hit.float(), "positive_score": scores.diagonal()}.items():
        assert metrics[f"contrastive/{name}"].item() == pytest.approx(each[inside].mean().item(), abs=1e-6)
        assert abs(each[inside].mean() - each.mean()) > 1e-3
    said = objective.diagnose(seen, DYNAMICS, seed_of(0))
    assert said["contrastive/InfoNCEBound"].item() == pytest.approx(metrics["contrastive/estimate"].item(), abs=1e-6)


def test_the_last_steps_have_no_later_observation():
    objective, (posterior, prior, embedding, data) = make(offsets=(3,)), given()
    losses, _ = objective(inferred(posterior, prior, embedding, data), DYNAMICS, seed_of(0))
    assert losses["infonce"].shape == (ROWS, TIMES)
    assert (losses["infonce"][:, TIMES - 3 :] == 0).all()


def test_the_offset_0_alone_is_the_critic_itself():
    several, (posterior, prior, embedding, data) = make(offsets=(0,)), given()
    alone = InfoNCE(
        latent=LATENT,
        embedding_size=5,
        observation=OBSERVATIONS["both"],
        action=ACTIONS["continuous"],
        critic=factory("critics", "BilinearCritic"),
        negatives=factory("negatives", "InBatch"),
        bound=factory("bounds", "InfoNCEBound"),
    )
    alone.critic.load_state_dict(several.critic.each_offset()[0].state_dict())
    seen = inferred(posterior, prior, embedding, data)
    (one, said), (other, also) = several(seen, DYNAMICS, seed_of(0)), alone(seen, DYNAMICS, seed_of(0))
    assert torch.equal(one["infonce"], other["infonce"])
    assert all(torch.equal(said[name], also[name]) for name in said)


def test_every_offset_learns():
    objective, (posterior, prior, embedding, data) = make("GaussianCritic"), given()
    posterior = requiring_gradient(posterior)
    losses, _ = objective(inferred(posterior, prior, embedding, data), DYNAMICS, seed_of(0))
    parameters = list(objective.critic.parameters())
    gradients = torch.autograd.grad(losses["infonce"].sum(), [posterior.stochastic, *parameters])
    assert len(parameters) == len(OFFSETS) * 4
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_what_each_critic_says_of_its_axis_holds():
    with pytest.raises(UserError, match=r"does not fit GaussianCritic, a density over the latent"):
        make("GaussianCritic", axis="column")


def test_an_offset_beyond_the_sequences_is_refused():
    objective, (posterior, prior, embedding, data) = make(offsets=(1, TIMES)), given()
    with pytest.raises(UserError, match=rf"MultiHorizonCritic.offsets has {TIMES}, and sequences are {TIMES} steps long.*Replay.length"):
        objective(inferred(posterior, prior, embedding, data), DYNAMICS, seed_of(0))
