"""Distributions over actions: densities and entropies by quadrature and enumeration, samples, and gradients."""

import math
from itertools import product

import pytest
import torch

from framework.functional.actions import BoundedNormal, OneHotGroups, TruncatedNormal
from framework.functional.categorical import gumbel
from framework.functional.distributions import TanhNormal
from framework.testing.samples import normal, seeded

SIZES = (2, 3, 4)
MEANS_AND_STDS = pytest.mark.parametrize(("mean", "std"), [(0.0, 0.5), (0.7, 0.1), (-0.95, 1.0), (0.99, 2.1)])


def one(distribution, mean: float, std: float):
    return distribution(mean=torch.tensor([mean]), std=torch.tensor([std]))


def inside(points: int = 200_000) -> tuple[torch.Tensor, float]:
    """The middles of equal cells over (-1, 1), as one-number actions, and the width of a cell."""
    edges = torch.linspace(-1, 1, points + 1, dtype=torch.float64)
    return ((edges[1:] + edges[:-1]) / 2).float()[:, None], 2 / points


def mass(distribution) -> float:
    cells, width = inside()
    return distribution.log_density(cells).double().exp().sum().item() * width


def every_action() -> torch.Tensor:
    chosen = [torch.cat([torch.eye(size)[pick] for size, pick in zip(SIZES, picks, strict=True)]) for picks in product(*map(range, SIZES))]
    return torch.stack(chosen)


@MEANS_AND_STDS
def test_a_bounded_normal_and_its_edges_have_probability_one_and_samples_follow_it(mean, std):
    distribution, sample = one(BoundedNormal, mean, std), one(BoundedNormal, mean, std).sample(normal(100_000, 1))
    edges = distribution.log_density(torch.tensor([[1.0], [-1.0]])).exp().tolist()
    assert mass(distribution) + sum(edges) == pytest.approx(1.0, abs=1e-4)
    assert edges[0] == pytest.approx(0.5 * math.erfc((1 - mean) / std / math.sqrt(2)), rel=1e-4)
    assert sample.abs().max() <= 1
    assert [(sample == edge).float().mean().item() for edge in (1, -1)] == pytest.approx(edges, abs=5e-3)


@MEANS_AND_STDS
def test_a_truncated_normal_integrates_to_one_and_to_its_entropy_and_a_sample_is_the_quantile_of_its_noise(mean, std):
    truncated, (cells, width) = one(TruncatedNormal, mean, std), inside()
    log_density = truncated.log_density(cells).double()
    assert mass(truncated) == pytest.approx(1.0, abs=1e-4)
    assert truncated.entropy.item() == pytest.approx(-(log_density.exp() * log_density).sum().item() * width, abs=1e-3)
    below, noise = log_density.exp().cumsum(dim=0) * width, torch.tensor([[0.01], [0.3], [0.5], [0.9], [0.999]])
    for sample, chance in zip(truncated.sample(noise), noise, strict=True):
        assert below[int((cells[:, 0] < sample).sum()) - 1].item() == pytest.approx(chance.item(), abs=1e-3)


@pytest.mark.parametrize(("mean", "std", "within"), [(0.0, 0.5, 1e-4), (0.7, 0.3, 1e-4), (-1.0, 1.0, 1e-3), (2.0, 3.0, 0.03)])
def test_the_entropy_of_a_tanh_normal_is_that_of_quadrature(mean, std, within):
    points = torch.linspace(-9, 9, 100_001, dtype=torch.float64)
    before, weight = mean + std * points, torch.exp(-0.5 * points**2)
    jacobian = 2 * (math.log(2) - before.abs() - torch.log1p(torch.exp(-2 * before.abs())))
    surprise = 0.5 * points**2 + math.log(std) + 0.5 * math.log(2 * math.pi) + jacobian
    assert one(TanhNormal, mean, std).entropy.item() == pytest.approx(((weight * surprise).sum() / weight.sum()).item(), abs=within)
    assert one(TanhNormal, mean, std).mode.item() == pytest.approx(math.tanh(mean))


def test_groups_are_independent_choices_of_mixed_probabilities():
    logits, actions = 2 * normal(5, sum(SIZES)), every_action()
    distribution = OneHotGroups.of(logits, SIZES, 0.1)
    expected = [0.9 * group.softmax(dim=-1) + 0.1 / size for group, size in zip(logits.split(SIZES, dim=-1), SIZES, strict=True)]
    assert torch.allclose(distribution.log_probabilities.exp(), torch.cat(expected, dim=-1), atol=1e-6)
    log_density = torch.stack([distribution.log_density(action.expand(5, -1)) for action in actions])
    assert torch.allclose(log_density.exp().sum(dim=0), torch.ones(5), atol=1e-5)
    assert torch.allclose(distribution.entropy, -(log_density.exp() * log_density).sum(dim=0), atol=1e-5)
    assert torch.equal(distribution.mode, actions[log_density.argmax(dim=0)])
    sample = distribution.sample(gumbel(20_000, 5, sum(SIZES), generator=seeded(3)))
    assert all(torch.equal(group.sum(dim=-1), torch.ones(20_000, 5)) for group in sample.split(SIZES, dim=-1))
    assert torch.allclose(sample.mean(dim=0), distribution.log_probabilities.exp(), atol=0.02)


@pytest.mark.parametrize("kind", ["mean", "std"])
def test_the_score_of_a_bounded_normal_has_the_mean_of_the_unclipped_score_and_less_variance(kind):
    """Dreamer V3 has the score of the number before clipping; by quadrature, for a reward of the clipped action."""
    points, mean, std = torch.linspace(-8, 8, 4001), 0.6, 0.7
    weight = torch.exp(-0.5 * points.square())
    before = mean + std * points
    scores = {"mean": points / std, "std": (points.square() - 1) / std}[kind]
    parameters = {name: torch.full((4001, 1), number).requires_grad_() for name, number in (("mean", mean), ("std", std))}
    action = before.clamp(-1, 1)
    (clipped_scores,) = torch.autograd.grad(BoundedNormal(**parameters).log_density(action[:, None]).sum(), parameters[kind])
    reward, weight = torch.sin(3 * action) + action, weight / weight.sum()
    moments = [((weight * reward * each).sum(), (weight * (reward * each).square()).sum()) for each in (scores, clipped_scores[:, 0])]
    assert moments[0][0].item() == pytest.approx(moments[1][0].item(), abs=2e-3)
    assert moments[1][1] < 0.95 * moments[0][1]


def test_a_clipped_sample_has_a_gradient():
    mean, std = torch.zeros(3).requires_grad_(), torch.ones(3).requires_grad_()
    noise = torch.tensor([0.5, 2.0, -4.0])
    to_mean, to_std = torch.autograd.grad(BoundedNormal(mean, std).sample(noise).sum(), (mean, std))
    assert torch.allclose(to_mean, torch.tensor([1.0, 0.5, 0.25]))
    assert torch.allclose(to_std, torch.tensor([0.5, 1.0, -1.0]))


def test_the_gradient_of_a_truncated_sample_is_that_of_its_quantile():
    mean, std = torch.tensor([0.3, -0.8]).requires_grad_(), torch.tensor([0.5, 1.2]).requires_grad_()
    noise, step = torch.tensor([0.2, 0.7]), 1e-2

    def quantile(by_mean: float, by_std: float) -> torch.Tensor:
        return TruncatedNormal(mean + by_mean, std + by_std).sample(noise)

    to_mean, to_std = torch.autograd.grad(quantile(0, 0).sum(), (mean, std))
    assert torch.allclose(to_mean, (quantile(step, 0) - quantile(-step, 0)) / (2 * step), atol=1e-3)
    assert torch.allclose(to_std, (quantile(0, step) - quantile(0, -step)) / (2 * step), atol=1e-3)
    assert (to_mean < 1).all()


@pytest.mark.parametrize("distribution", [BoundedNormal, TruncatedNormal])
@pytest.mark.parametrize("noise", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("mean", [-0.9999, 0.9999])
def test_densities_and_gradients_are_finite_at_the_edges(distribution, noise, mean):
    parameters = [torch.tensor([mean]).requires_grad_(), torch.tensor([0.1]).requires_grad_()]
    sample = distribution(*parameters).sample(torch.tensor([noise]))
    assert sample.abs() <= {BoundedNormal: 1.0, TruncatedNormal: 1 - 9e-7}[distribution]
    for action in (sample, torch.tensor([1.0]), torch.tensor([-1.0])):
        total = distribution(*parameters).log_density(action.detach()) + distribution(*parameters).entropy + sample.sum()
        gradients = torch.autograd.grad(total, parameters, retain_graph=True)
        assert total.isfinite()
        assert all(gradient.isfinite() for gradient in gradients)


def test_densities_of_actions_are_float32_from_any_precision():
    half = normal(2, 3).bfloat16()
    for distribution in (BoundedNormal(half.tanh().float(), half.exp().float()), TruncatedNormal(half.tanh().float(), half.exp().float())):
        assert distribution.log_density(half.tanh()).dtype == torch.float32
    assert OneHotGroups.of(half, (3,), 0.01).log_density(half).dtype == torch.float32
