"""DreamerPro's objective: assignments of the slow encoder, swapped between two views and predicted by the latent."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.data import SecondView
from framework.errors import UserError
from framework.functional.sinkhorn import sinkhorn
from framework.objectives.prototypes import Prototypes
from tests.members import build
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, normal, objective_sizes, requiring_gradient


def make(**settings) -> Prototypes:
    torch.manual_seed(0)
    return build("objectives", "Prototypes", **objective_sizes(), **settings)


def example():
    return inferred(latent(ROWS, TIMES), latent(ROWS, TIMES, seed=5), normal(ROWS, TIMES, 5, seed=3), batch())


def probabilities(objective, projected):
    return (F.normalize(projected, dim=-1) @ F.normalize(objective.prototypes, dim=-1).T / objective.temperature).softmax(dim=-1)


def assigned(objective, slow_embedding):
    slow = F.normalize(objective.slow_from_embedding(slow_embedding), dim=-1)
    scores = slow @ F.normalize(objective.prototypes, dim=-1).T
    return sinkhorn(scores.flatten(0, 1), objective.epsilon, objective.iterations).reshape(*scores.shape)


@pytest.mark.parametrize("warm_up", [0, 2])
def test_losses_equal_the_equations_step_by_step(warm_up):
    objective, sample = make(warm_up=warm_up, epsilon=0.05), example()
    with torch.no_grad():
        objective.slow_from_embedding.weight.add_(0.3)
        targets = [assigned(objective, each[:, warm_up:]) for each in (sample.slow_embedding, sample.second.slow_embedding)]
        losses, metrics = objective(sample, DYNAMICS, key_of(0))
        agreed, shared = 0, torch.zeros(7)
        for b in range(ROWS):
            for t in range(TIMES):
                if t < warm_up:
                    assert all(loss[b, t] == 0 for loss in losses.values())
                    continue
                first, second = (objective.from_embedding(each[b, t]) for each in (sample.embedding, sample.second.embedding))
                temporal = objective.from_latent(sample.posterior.features[b, t])
                one, other, of_latent = (probabilities(objective, each) for each in (first, second, temporal))
                q = [each[b, t - warm_up] for each in targets]
                swapped = -0.5 * sum(q[1][k] * one[k].log() + q[0][k] * other[k].log() for k in range(7))
                assert losses["swapped_prototypes"][b, t].item() == pytest.approx(swapped.item(), abs=1e-4)
                expected = -sum(q[0][k] * of_latent[k].log() for k in range(7))
                assert losses["temporal_prototypes"][b, t].item() == pytest.approx(expected.item(), abs=1e-4)
                norm = 0.5 * (first.norm() - 1) ** 2 + 0.5 * (second.norm() - 1) ** 2 + (temporal.norm() - 1) ** 2
                assert losses["projection_norm"][b, t].item() == pytest.approx(norm.item(), abs=1e-4)
                agreed += int(of_latent.argmax() == q[0].argmax())
                shared += one / (ROWS * (TIMES - warm_up))
    assert metrics["model/prototypes_agreement"].item() == pytest.approx(agreed / (ROWS * (TIMES - warm_up)))
    assert metrics["model/prototypes_used"].item() == pytest.approx((-(shared * shared.log()).sum()).exp().item(), rel=1e-4)


def test_the_warm_up_is_not_part_of_the_assignment():
    sample, objective = example(), make(warm_up=1)
    changed = sample.slow_embedding.clone()
    changed[:, 0] = 40.0
    one, other = (objective(each, DYNAMICS, key_of(0))[0] for each in (sample, replace(sample, slow_embedding=changed)))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_swapped_loss_is_symmetric_in_the_views():
    objective, sample = make(), example()
    turned = replace(
        sample,
        embedding=sample.second.embedding,
        slow_embedding=sample.second.slow_embedding,
        second=SecondView(embedding=sample.embedding, slow_embedding=sample.slow_embedding),
    )
    one, other = (objective(each, DYNAMICS, key_of(0))[0]["swapped_prototypes"] for each in (sample, turned))
    assert torch.allclose(one, other, atol=1e-6)


def test_assignments_have_no_gradient():
    objective, sample = make(), example()
    slow, slow_second = (
        sample.slow_embedding.clone().requires_grad_(),
        sample.second.slow_embedding.clone().requires_grad_(),
    )
    first, second = sample.embedding.clone().requires_grad_(), sample.second.embedding.clone().requires_grad_()
    posterior = requiring_gradient(sample.posterior)
    changed = replace(
        sample,
        posterior=posterior,
        embedding=first,
        slow_embedding=slow,
        second=SecondView(embedding=second, slow_embedding=slow_second),
    )
    losses, _ = objective(changed, DYNAMICS, key_of(0))
    swapped = torch.autograd.grad(
        losses["swapped_prototypes"].sum(), [slow, slow_second, posterior.stochastic, first, second], allow_unused=True
    )
    assert [gradient is not None for gradient in swapped] == [False, False, False, True, True]
    temporal = torch.autograd.grad(
        losses["temporal_prototypes"].sum(), [slow, slow_second, first, second, posterior.stochastic], allow_unused=True
    )
    assert [gradient is not None for gradient in temporal] == [False, False, False, False, True]
    assert not any(parameter.requires_grad for parameter in objective.slow_from_embedding.parameters())


def test_the_prototypes_are_fixed_at_first():
    objective, sample = make(frozen_updates=2), example()
    moving = []
    for _ in range(4):
        losses, _ = objective(sample, DYNAMICS, key_of(0))
        (gradient,) = torch.autograd.grad(losses["swapped_prototypes"].sum(), [objective.prototypes])
        moving.append(bool(gradient.abs().sum() > 0))
        objective.after_update(sample, DYNAMICS, key_of(0))
    assert moving == [False, False, True, True]
    assert objective.updates.item() == 4


def test_the_slow_projection_moves_by_its_rate():
    objective = make(slow_rate=0.25)
    assert objective.slow_rate == 0.25
    before = objective.slow_from_embedding.weight.clone()
    assert torch.equal(before, objective.from_embedding.weight)
    with torch.no_grad():
        objective.from_embedding.weight.add_(1.0)
    objective.after_update(example(), DYNAMICS, key_of(0))
    assert torch.allclose(objective.slow_from_embedding.weight, before + 0.25, atol=1e-6)


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
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
