"""DreamerPro's objective beside its reference: assignments of the slow encoder, their gradients, slow copies and metrics."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.data import SecondView
from framework.functional.sinkhorn import sinkhorn
from framework.objectives.prototypes import Prototypes
from framework.testing.samples import DYNAMICS, example, key_of, objective_sizes, requiring_gradient
from tests.members import build


def make(**settings) -> Prototypes:
    torch.manual_seed(0)
    return build("objectives", "Prototypes", **objective_sizes(), **settings)


def test_the_warm_up_has_the_norm_loss_alone_and_is_not_part_of_the_assignment():
    sample, objective = example(), make(warm_up=1)
    changed = sample.slow_embedding.clone()
    changed[:, 0] = 40.0
    one, other = (objective(each, DYNAMICS, key_of(0))[0] for each in (sample, replace(sample, slow_embedding=changed)))
    assert {name: loss[:, 0].any().item() for name, loss in one.items()} == dict(zip(objective.losses, (False, False, True), strict=True))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_its_metrics_are_the_prototypes_in_use_and_the_share_of_agreement():
    objective, sample = make(), example()
    with torch.no_grad():
        _, metrics = objective(sample, DYNAMICS, key_of(0))
        first, slow, of_latent = (
            F.cosine_similarity(projected.flatten(0, 1)[:, None], objective.prototypes, dim=-1)
            for projected in (
                objective.from_embedding(sample.embedding),
                objective.slow_from_embedding(sample.slow_embedding),
                objective.from_latent(sample.posterior.features),
            )
        )
    share = (first / objective.temperature).softmax(dim=-1).mean(dim=0)
    agreed = of_latent.argmax(dim=-1) == sinkhorn(slow, objective.epsilon, objective.iterations).argmax(dim=-1)
    assert metrics["model/prototypes_used"].item() == pytest.approx((-(share * share.log()).sum()).exp().item(), rel=1e-4)
    assert metrics["model/prototypes_agreement"].item() == pytest.approx(agreed.float().mean().item())


def test_assignments_have_no_gradient():
    objective, sample = make(), example()
    leaves = [
        each.clone().requires_grad_()
        for each in (sample.slow_embedding, sample.second.slow_embedding, sample.embedding, sample.second.embedding)
    ]
    posterior = requiring_gradient(sample.posterior)
    second = SecondView(embedding=leaves[3], slow_embedding=leaves[1])
    changed = replace(sample, posterior=posterior, embedding=leaves[2], slow_embedding=leaves[0], second=second)
    losses, _ = objective(changed, DYNAMICS, key_of(0))
    for name, reached in {"swapped_prototypes": [0, 0, 1, 1, 0], "temporal_prototypes": [0, 0, 0, 0, 1]}.items():
        gradients = torch.autograd.grad(losses[name].sum(), [*leaves, posterior.stochastic], allow_unused=True)
        assert [gradient is not None for gradient in gradients] == reached, name
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
