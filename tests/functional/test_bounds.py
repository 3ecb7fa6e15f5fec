"""The formulas of the bounds: against double loops, their laws, their gradients, and their estimates of known information."""

import math
from functools import cache, partial

import pytest
import torch
from torch import Tensor

from framework.functional import bounds, contrastive
from tests.gaussians import log_ratios, mean_and_error
from tests.tiny import normal

U, BIAS = normal(5, seed=8), torch.tensor(0.4)
FORMULAS = {
    "nwj": bounds.nwj_estimate,
    "donsker_varadhan": bounds.donsker_varadhan_estimate,
    "mine": lambda scores, weights: -bounds.mine_loss(scores, weights, torch.tensor(0.7)),
    "jensen_shannon": bounds.jensen_shannon_estimate,
    "jensen_shannon_loss": bounds.jensen_shannon_loss,
    "smile": partial(bounds.smile_estimate, clip=0.5),
    "interpolated": partial(bounds.interpolated_estimate, alpha=0.3),
    "flo": lambda scores, weights: bounds.flo_estimate(scores, weights, U),
    "leave_one_out": bounds.leave_one_out_estimate,
    "sigmoid_loss": lambda scores, weights: bounds.sigmoid_loss(scores, weights, BIAS),
    "squared_partition": bounds.squared_partition,
}


def scores_and_weights() -> tuple[Tensor, Tensor]:
    """Five anchors and seven candidates; every anchor leaves out others, and one candidate counts double."""
    weights = torch.zeros(5, 7)
    weights[0, 3] = weights[1, 0] = weights[1, 6] = weights[4, 2] = -torch.inf
    weights[2, 5] = math.log(2)
    return normal(5, 7), weights


def naive(name: str, scores: list[list[float]], weights: list[list[float]]) -> list[float]:
    kept = [[j for j in range(7) if weights[i][j] > -math.inf] for i in range(5)]
    others = [[j for j in row if j != i] for i, row in enumerate(kept)]

    def mean(i: int, function) -> float:
        return sum(math.exp(weights[i][j]) * function(scores[i][j]) for j in others[i]) / len(others[i])

    def softplus(x: float) -> float:
        return math.log(1 + math.exp(x))

    partition = sum(mean(i, math.exp) for i in range(5)) / 5
    clipped = sum(mean(i, lambda x: math.exp(min(max(x, -0.5), 0.5))) for i in range(5)) / 5

    def interpolated(i: int) -> float:
        everything = sum(math.exp(weights[i][j] + scores[i][j]) for j in kept[i]) / len(kept[i])
        joint = scores[i][i] - math.log(0.3 * everything + 0.7 * math.e)
        return 1 + joint - mean(i, math.exp) / (0.3 * mean(i, math.exp) + 0.7 * math.e)

    def sigmoid(i: int) -> float:
        shift, count = BIAS.item() - math.log(len(others[i])), len(others[i])
        return softplus(-scores[i][i] - shift) + count * mean(i, lambda x: softplus(x + shift))

    formula = {
        "nwj": lambda i: scores[i][i] - mean(i, lambda x: math.exp(x - 1)),
        "donsker_varadhan": lambda i: scores[i][i] - math.log(partition),
        "mine": lambda i: scores[i][i] - math.log(partition),
        "jensen_shannon": lambda i: scores[i][i] + 1 - mean(i, math.exp),
        "jensen_shannon_loss": lambda i: softplus(-scores[i][i]) + mean(i, softplus),
        "smile": lambda i: scores[i][i] - math.log(clipped),
        "interpolated": interpolated,
        "flo": lambda i: 1 - U[i].item() - math.exp(-U[i].item()) * mean(i, lambda x: math.exp(x - scores[i][i])),
        "leave_one_out": lambda i: scores[i][i] - math.log(mean(i, math.exp)),
        "sigmoid_loss": sigmoid,
        "squared_partition": lambda i: math.log(sum(math.exp(weights[i][j] + scores[i][j]) for j in kept[i])) ** 2,
    }[name]
    return [formula(i) for i in range(5)]


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_equals_a_double_loop(name):
    scores, weights = scores_and_weights()
    values = FORMULAS[name](scores, weights)
    assert values.tolist() == pytest.approx(naive(name, scores.tolist(), weights.tolist()), abs=1e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_masked_candidate_has_neither_value_nor_gradient(name):
    scores, weights = scores_and_weights()
    spoilt = scores.masked_fill(weights.isneginf(), 1e30).requires_grad_()
    values = FORMULAS[name](spoilt, weights)
    assert torch.allclose(values, FORMULAS[name](scores, weights))
    (gradient,) = torch.autograd.grad(values.sum(), spoilt)
    assert gradient.isfinite().all()
    assert (gradient[weights.isneginf()] == 0).all()


@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradient_of_a_formula_is_that_of_differences(name):
    if name == "mine":
        return  # its gradient differs from that of its value by design
    scores, weights = scores_and_weights()
    scores = scores.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda each: FORMULAS[name](each, weights.double()).sum(), scores, eps=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["nwj", "donsker_varadhan", "leave_one_out", "flo", "interpolated"])
def test_very_low_scores_of_negatives_have_finite_values_and_gradients(name):
    """A Gaussian density reaches -10^6 off the diagonal."""
    scores = torch.full((5, 5), -1e6).fill_diagonal_(3.0).requires_grad_()
    values = FORMULAS[name](scores, torch.zeros(5, 5))
    (gradient,) = torch.autograd.grad(values.sum(), scores)
    assert values.isfinite().all()
    assert gradient.isfinite().all()


def test_an_anchor_without_negatives_has_its_positive_for_one():
    alone = torch.eye(3).log()
    assert bounds.leave_one_out_estimate(normal(3, 3), alone).tolist() == [0, 0, 0]
    assert bounds.donsker_varadhan_estimate(torch.ones(3, 3), alone).tolist() == pytest.approx([0, 0, 0])


# Laws


@pytest.mark.parametrize("constant", [-3.0, 2.0])
def test_some_formulas_are_invariant_to_constants_in_the_scores(constant):
    scores, weights = scores_and_weights()
    rows = constant * normal(5, 1, seed=4)
    for invariant in ("leave_one_out", "flo"):
        assert torch.allclose(FORMULAS[invariant](scores + rows, weights), FORMULAS[invariant](scores, weights), atol=1e-5)
    shifted = bounds.donsker_varadhan_estimate(scores + constant, weights)
    assert torch.allclose(shifted, bounds.donsker_varadhan_estimate(scores, weights), atol=1e-5)
    assert not torch.allclose(bounds.nwj_estimate(scores + constant, weights), bounds.nwj_estimate(scores, weights), atol=1e-2)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 0.9, 1.0])
def test_interpolated_stays_below_its_ceiling(alpha):
    """`log(K / alpha)`, reached as the positives score ever higher; and for any scores."""
    weights = torch.zeros(16, 16)
    ceiling = math.log(16 / alpha)
    assert (bounds.interpolated_estimate(5 * normal(16, 16), weights, alpha) <= ceiling + 1e-4).all()
    separated = torch.full((16, 16), -40.0).fill_diagonal_(40.0)
    reached = 1 + ceiling - (1 if alpha == 1 else 0)
    assert bounds.interpolated_estimate(separated, weights, alpha).tolist() == pytest.approx([reached] * 16, abs=1e-3)


def test_donsker_varadhan_is_nwj_with_the_best_constant():
    """`log z <= z / e^c + c - 1`: NWJ of `f - c + 1` touches it from below."""
    scores, weights = scores_and_weights()
    best = bounds.donsker_varadhan_estimate(scores, weights).mean()
    constant = bounds.log_mean_all(bounds.log_mean_negative(scores, weights))
    others = [bounds.nwj_estimate(scores - constant + 1 + shift, weights).mean() for shift in (-0.5, 0.0, 0.5)]
    assert others[1].item() == pytest.approx(best.item(), abs=1e-5)
    assert max(others[0], others[2]) < best


def test_flo_with_its_best_u_is_the_leave_one_out_estimate_and_lower_with_another():
    scores, weights = scores_and_weights()
    best = bounds.leave_one_out_estimate(scores, weights)
    assert torch.allclose(bounds.flo_estimate(scores, weights, -best), best, atol=1e-5)
    assert (bounds.flo_estimate(scores, weights, U) < best).all()


@pytest.mark.parametrize("loss", [bounds.jensen_shannon_loss, lambda s, w: bounds.sigmoid_loss(s, w, torch.tensor(0.0))])
def test_a_loss_that_classifies_is_least_at_the_log_ratio(loss):
    """Its gradient with respect to a constant and to a scale of the log ratio vanishes there, within its noise."""
    ratio, weights = log_ratios(2, 400, 32), torch.zeros(32, 32)
    change = torch.zeros(2, requires_grad=True)
    each = torch.vmap(lambda one: loss(one * (1 + change[0]) + change[1], weights).mean())(ratio)
    values = torch.stack([torch.autograd.grad(part.mean(), change, retain_graph=True)[0] for part in each.chunk(20)])
    error = values.std(dim=0) / math.sqrt(20)
    assert (error < 0.02).all()
    assert (values.mean(dim=0).abs() < 4 * error).all()


# Known information


@cache
def ratios(information: float, candidates: int, batches: int) -> Tensor:
    return log_ratios(information, batches, candidates)


def check(estimate, expected: float, scores: Tensor, at_most: float) -> None:
    """Within four standard errors and the rounding of the known value; the error is at most `at_most`."""
    mean, error = mean_and_error(estimate, scores)
    assert error <= at_most
    assert mean == pytest.approx(expected, abs=4 * error + 0.01)


KNOWN = {
    "nwj": (lambda s, w: bounds.nwj_estimate(s + 1, w), 2.00, 6.01),
    "donsker_varadhan": (bounds.donsker_varadhan_estimate, 2.00, 6.12),
    "jensen_shannon": (bounds.jensen_shannon_estimate, 2.00, 6.01),
    "smile": (partial(bounds.smile_estimate, clip=5.0), 2.03, 6.74),
    "leave_one_out": (bounds.leave_one_out_estimate, 2.10, 7.41),
}


@pytest.mark.parametrize("name", KNOWN)
def test_an_estimate_has_the_known_nats(name):
    estimate, at_2, at_6 = KNOWN[name]
    check(estimate, at_2, ratios(2, 128, 250), at_most=0.02)
    check(estimate, at_6, ratios(6, 128, 250), at_most=0.06)


@pytest.mark.parametrize(("information", "expected"), [(2, 2.01), (4, 4.01)])
def test_flo_with_the_true_u_has_the_known_nats(information, expected):
    def estimate(scores: Tensor, weights: Tensor) -> Tensor:
        return bounds.flo_estimate(scores, weights, -scores.diagonal())

    check(estimate, expected, ratios(information, 256, 60), at_most=0.05)


def test_nwj_of_the_log_ratio_itself_is_low_by_one_over_e():
    """As two well-known codes evaluate a critic that was trained by Jensen and Shannon's loss."""
    mean, error = mean_and_error(bounds.nwj_estimate, ratios(2, 128, 250))
    assert error <= 0.02
    assert mean == pytest.approx(2 - 1 / math.e, abs=4 * error)
    check(bounds.jensen_shannon_estimate, 2.0, ratios(2, 128, 250), at_most=0.02)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 0.9])
def test_interpolated_lies_between_and_below_the_truth(alpha):
    scores = ratios(6, 128, 250)
    mean, error = mean_and_error(lambda s, w: bounds.interpolated_estimate(s + 1, w, alpha), scores)
    capped, _ = mean_and_error(contrastive.infonce_estimate, scores)
    assert error <= 0.06
    assert capped < mean < 6 + 3 * error


@pytest.mark.parametrize("name", [*KNOWN, "interpolated"])
def test_the_estimate_of_independent_variables_is_zero(name):
    """With any critic a lower bound is at most zero."""
    estimate = KNOWN[name][0] if name in KNOWN else lambda s, w: bounds.interpolated_estimate(s + 1, w, 0.5)
    check(estimate, 0.0, ratios(1e-6, 128, 50), at_most=0.01)
    if name in ("nwj", "jensen_shannon", "interpolated"):
        mean, error = mean_and_error(estimate, normal(2000, 8, 8))
        assert mean < -3 * error
