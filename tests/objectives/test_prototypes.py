"""DreamerPro's objective: assignments of the slow encoder, swapped between two views and told to the latent."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.data import SecondView
from framework.errors import UserError
from framework.functional.sinkhorn import sinkhorn
from framework.objectives.prototypes import Prototypes
from tests.members import build
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, latent, normal, objective_sizes, requiring_gradient, seed_of


def make(**settings) -> Prototypes:
    torch.manual_seed(0)
    return build("objectives", "Prototypes", **objective_sizes(), **settings)


def given():
    return inferred(latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, 5, seed=3), batch())


def probabilities(objective, projected):
    return (F.normalize(projected, dim=-1) @ F.normalize(objective.prototypes, dim=-1).T / objective.temperature).softmax(dim=-1)


def assigned(objective, slow_embedding):
    slow = F.normalize(objective.slow_from_embedding(slow_embedding), dim=-1)
    scores = slow @ F.normalize(objective.prototypes, dim=-1).T
    return sinkhorn(scores.flatten(0, 1), objective.epsilon, objective.iterations).reshape(*scores.shape)


@pytest.mark.parametrize("warm_up", [0, 2])
def test_it_equals_the_equations_step_by_step(warm_up):
    objective, seen = make(warm_up=warm_up, epsilon=0.05), given()
    with torch.no_grad():
        objective.slow_from_embedding.weight.add_(0.3)
        targets = [assigned(objective, each[:, warm_up:]) for each in (seen.slow_embedding, seen.second.slow_embedding)]
        losses, metrics = objective(seen, DYNAMICS, seed_of(0))
        agreed, shared = 0, torch.zeros(7)
        for b in range(ROWS):
            for t in range(TIMES):
                if t < warm_up:
                    assert all(loss[b, t] == 0 for loss in losses.values())
                    continue
                first, second = (objective.from_embedding(each[b, t]) for each in (seen.embedding, seen.second.embedding))
                temporal = objective.from_latent(seen.posterior.features[b, t])
                one, other, believed = (probabilities(objective, each) for each in (first, second, temporal))
                q = [each[b, t - warm_up] for each in targets]
                swapped = -0.5 * sum(q[1][k] * one[k].log() + q[0][k] * other[k].log() for k in range(7))
                assert losses["swapped_prototypes"][b, t].item() == pytest.approx(swapped.item(), abs=1e-4)
                expected = -sum(q[0][k] * believed[k].log() for k in range(7))
                assert losses["temporal_prototypes"][b, t].item() == pytest.approx(expected.item(), abs=1e-4)
                norm = 0.5 * (first.norm() - 1) ** 2 + 0.5 * (second.norm() - 1) ** 2 + (temporal.norm() - 1) ** 2
                assert losses["projection_norm"][b, t].item() == pytest.approx(norm.item(), abs=1e-4)
                agreed += int(believed.argmax() == q[0].argmax())
                shared += one / (ROWS * (TIMES - warm_up))
    assert metrics["model/prototypes_agreement"].item() == pytest.approx(agreed / (ROWS * (TIMES - warm_up)))
    assert metrics["model/prototypes_used"].item() == pytest.approx((-(shared * shared.log()).sum()).exp().item(), rel=1e-4)


def test_the_first_steps_do_not_join_the_assignment():
    seen, objective = given(), make(warm_up=1)
    changed = seen.slow_embedding.clone()
    changed[:, 0] = 40.0
    one, other = (objective(each, DYNAMICS, seed_of(0))[0] for each in (seen, replace(seen, slow_embedding=changed)))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_views_are_alike():
    """What is swapped between them is the same either way round."""
    objective, seen = make(), given()
    turned = replace(
        seen,
        embedding=seen.second.embedding,
        slow_embedding=seen.second.slow_embedding,
        second=SecondView(embedding=seen.embedding, slow_embedding=seen.slow_embedding),
    )
    one, other = (objective(each, DYNAMICS, seed_of(0))[0]["swapped_prototypes"] for each in (seen, turned))
    assert torch.allclose(one, other, atol=1e-6)


def test_no_assignment_gets_gradient():
    objective, seen = make(), given()
    slow, also = seen.slow_embedding.clone().requires_grad_(), seen.second.slow_embedding.clone().requires_grad_()
    first, second = seen.embedding.clone().requires_grad_(), seen.second.embedding.clone().requires_grad_()
    posterior = requiring_gradient(seen.posterior)
    given_to_it = replace(
        seen, posterior=posterior, embedding=first, slow_embedding=slow, second=SecondView(embedding=second, slow_embedding=also)
    )
    losses, _ = objective(given_to_it, DYNAMICS, seed_of(0))
    swapped = torch.autograd.grad(losses["swapped_prototypes"].sum(), [slow, also, posterior.stochastic, first, second], allow_unused=True)
    assert [gradient is not None for gradient in swapped] == [False, False, False, True, True]
    temporal = torch.autograd.grad(
        losses["temporal_prototypes"].sum(), [slow, also, first, second, posterior.stochastic], allow_unused=True
    )
    assert [gradient is not None for gradient in temporal] == [False, False, False, False, True]
    assert not any(parameter.requires_grad for parameter in objective.slow_from_embedding.parameters())


def test_the_prototypes_stand_still_at_first():
    objective, seen = make(frozen_updates=2), given()
    moving = []
    for _ in range(4):
        losses, _ = objective(seen, DYNAMICS, seed_of(0))
        (gradient,) = torch.autograd.grad(losses["swapped_prototypes"].sum(), [objective.prototypes])
        moving.append(bool(gradient.abs().sum() > 0))
        objective.after_update(seen, DYNAMICS, seed_of(0))
    assert moving == [False, False, True, True]
    assert objective.updates.item() == 4


def test_the_slow_projection_follows():
    objective = make(slow_rate=0.25)
    assert objective.slow_rate == 0.25
    before = objective.slow_from_embedding.weight.clone()
    assert torch.equal(before, objective.from_embedding.weight)
    with torch.no_grad():
        objective.from_embedding.weight.add_(1.0)
    objective.after_update(given(), DYNAMICS, seed_of(0))
    assert torch.allclose(objective.slow_from_embedding.weight, before + 0.25, atol=1e-6)


def test_it_learns_to_tell_the_latent_which_prototype_was_seen():
    """The latents tell of the embeddings; the views are near each other."""
    objective, seen = make(prototypes=4, epsilon=0.05), given()
    told = seen.posterior.map(torch.clone)
    told.deterministic[..., :5] = seen.embedding
    seen, found = replace(seen, posterior=told), []
    optimizer = torch.optim.Adam([parameter for parameter in objective.parameters() if parameter.requires_grad], lr=0.03)
    for number in range(60):
        losses, metrics = objective(seen, DYNAMICS, seed_of(number))
        found.append(metrics["model/prototypes_agreement"].item())
        optimizer.zero_grad()
        sum(loss.mean() for loss in losses.values()).backward()
        optimizer.step()
        objective.after_update(seen, DYNAMICS, seed_of(number))
    assert found[0] < 0.7
    assert found[-1] > 0.9
    assert metrics["model/prototypes_used"] > 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prototypes": 1}, r"Prototypes.prototypes = 1 must be at least 2"),
        ({"iterations": 0}, r"Prototypes.iterations = 0 at least 1"),
        ({"epsilon": 0.0}, r"Prototypes.epsilon = 0.0 positive"),
        ({"temperature": -1.0}, r"Prototypes.temperature = -1.0"),
        ({"slow_rate": 0.0}, r"Prototypes.slow_rate = 0.0 above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)


def test_a_warm_up_as_long_as_the_sequences_is_refused():
    with pytest.raises(UserError, match=rf"Prototypes.warm_up = {TIMES} leaves nothing of a sequence"):
        make(warm_up=TIMES)(given(), DYNAMICS, seed_of(0))
