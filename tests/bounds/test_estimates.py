"""The equations of the bounds: against double loops, their laws, and their estimates of known information."""

import math
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from framework.contrastive.contrast import Contrast
from framework.testing.samples import LATENT, normal, origin
from tests.gaussians import log_ratios, mean_and_error, pairs
from tests.members import build

U, BIAS = normal(5, seed=8), 0.4
SETTINGS = {"SMILE": {"clip": 0.5}, "Interpolated": {"alpha": 0.3}, "Penalized": {"weight": 1.0}}
CASES = [
    *("NWJ", "DonskerVaradhan", "JensenShannon", "JensenShannon.loss", "SMILE", "Interpolated", "FLO", "LeaveOneOut"),
    *("Sigmoid.loss", "Penalized.loss"),
]


def function_of(case: str, u=lambda _: U, bias: float = BIAS, **settings: float) -> Callable[[Tensor, Tensor], Tensor]:
    """An estimate or a loss, of scores and log-weights; `u` stands for the network of FLO, and `bias` is that of Sigmoid."""
    name, _, method = case.partition(".")
    bound = build("bounds", name, latent=LATENT, embedding_size=5, **(SETTINGS.get(name, {}) | settings))
    if name == "FLO":
        bound._u = u
    if name == "Sigmoid":
        torch.nn.init.constant_(bound.bias, bias)
    return lambda scores, weights: getattr(bound, method or "estimate")(contrast_of(scores, weights))


def contrast_of(scores: Tensor, weights: Tensor) -> Contrast:
    return Contrast.of(scores, origin(1, scores.shape[1])).weigh(weights)


def scores_and_weights() -> tuple[Tensor, Tensor]:
    """Five anchors and seven candidates; every anchor leaves out others, and one candidate counts double."""
    weights = torch.zeros(5, 7)
    weights[0, 3] = weights[1, 0] = weights[1, 6] = weights[4, 2] = -torch.inf
    weights[2, 5] = math.log(2)
    return normal(5, 7), weights


def naive(case: str, scores: list[list[float]], weights: list[list[float]]) -> list[float]:
    kept = [[j for j in range(7) if weights[i][j] > -math.inf] for i in range(5)]
    others = [[j for j in row if j != i] for i, row in enumerate(kept)]

    def mean(i: int, function) -> float:
        return sum(math.exp(weights[i][j]) * function(scores[i][j]) for j in others[i]) / len(others[i])

    def partition(i: int) -> float:
        return sum(math.exp(weights[i][j] + scores[i][j]) for j in kept[i])

    def softplus(x: float) -> float:
        return math.log(1 + math.exp(x))

    def interpolated(i: int) -> float:
        joint = scores[i][i] - math.log(0.3 * partition(i) / len(kept[i]) + 0.7 * math.e)
        return 1 + joint - mean(i, math.exp) / (0.3 * mean(i, math.exp) + 0.7 * math.e)

    def sigmoid(i: int) -> float:
        count = len(others[i])
        shift = BIAS - math.log(count)
        return softplus(-scores[i][i] - shift) + count * mean(i, lambda x: softplus(x + shift))

    clipped = sum(mean(i, lambda x: math.exp(min(max(x, -0.5), 0.5))) for i in range(5)) / 5
    formula = {
        "NWJ": lambda i: scores[i][i] - mean(i, lambda x: math.exp(x - 1)),
        "DonskerVaradhan": lambda i: scores[i][i] - math.log(sum(mean(k, math.exp) for k in range(5)) / 5),
        "JensenShannon": lambda i: scores[i][i] + 1 - mean(i, math.exp),
        "JensenShannon.loss": lambda i: softplus(-scores[i][i]) + mean(i, softplus),
        "SMILE": lambda i: scores[i][i] - math.log(clipped),
        "Interpolated": interpolated,
        "FLO": lambda i: 1 - U[i].item() - math.exp(-U[i].item()) * mean(i, lambda x: math.exp(x - scores[i][i])),
        "LeaveOneOut": lambda i: scores[i][i] - math.log(mean(i, math.exp)),
        "Sigmoid.loss": sigmoid,
        "Penalized.loss": lambda i: math.log(partition(i)) - scores[i][i] + math.log(partition(i)) ** 2,
    }[case]
    return [formula(i) for i in range(5)]


@pytest.mark.parametrize("case", CASES)
def test_it_equals_a_double_loop(case):
    scores, weights = scores_and_weights()
    values = function_of(case)(scores, weights)
    assert values.tolist() == pytest.approx(naive(case, scores.tolist(), weights.tolist()), abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_extreme_scores_of_negatives_have_finite_values_and_gradients(case):
    """A Gaussian density reaches -10^6; what is left out may be as large."""
    weights = torch.zeros(5, 5).index_fill(1, torch.tensor([4]), -torch.inf).fill_diagonal_(0.0)
    scores = torch.full((5, 5), -1e6).masked_fill(weights.isneginf(), 1e30).fill_diagonal_(3.0).requires_grad_()
    values = function_of(case)(scores, weights)
    (gradient,) = torch.autograd.grad(values.sum(), scores)
    assert values.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient[weights.isneginf()] == 0).all()


def test_an_anchor_without_negatives_has_its_positive_for_one():
    alone = torch.eye(3).log()
    assert function_of("LeaveOneOut")(normal(3, 3), alone).tolist() == [0, 0, 0]
    assert function_of("DonskerVaradhan")(torch.ones(3, 3), alone).tolist() == pytest.approx([0, 0, 0])


@pytest.mark.parametrize(("case", "shape"), [("LeaveOneOut", (5, 1)), ("FLO", (5, 1)), ("DonskerVaradhan", (1,))])
def test_some_estimates_are_invariant_to_constants_in_the_scores(case, shape):
    (scores, weights), constant = scores_and_weights(), 2 * normal(*shape, seed=4)
    assert torch.allclose(function_of(case)(scores + constant, weights), function_of(case)(scores, weights), atol=1e-5)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0])
def test_interpolated_stays_below_its_ceiling(alpha):
    """`log(K / alpha)`, reached as the positives score ever higher; and for any scores."""
    estimate, weights, ceiling = function_of("Interpolated", alpha=alpha), torch.zeros(16, 16), math.log(16 / alpha)
    assert (estimate(5 * normal(16, 16), weights) <= ceiling + 1e-4).all()
    separated = torch.full((16, 16), -40.0).fill_diagonal_(40.0)
    reached = 1 + ceiling - (1 if alpha == 1 else 0)
    assert estimate(separated, weights).tolist() == pytest.approx([reached] * 16, abs=1e-3)


def test_flo_with_its_best_u_is_the_leave_one_out_estimate_and_lower_with_another():
    scores, weights = scores_and_weights()
    best = function_of("LeaveOneOut")(scores, weights)
    assert torch.allclose(function_of("FLO", lambda _: -best)(scores, weights), best, atol=1e-5)
    assert (function_of("FLO")(scores, weights) < best).all()


@pytest.mark.parametrize("loss", [function_of("JensenShannon.loss"), function_of("Sigmoid.loss", bias=0.0)])
def test_a_loss_that_classifies_is_least_at_the_log_ratio(loss):
    """Its gradient with respect to a constant and to a scale of the log ratio vanishes there, within its noise."""
    weights, change = torch.zeros(32, 32), torch.zeros(2, requires_grad=True)
    each = torch.vmap(lambda ratio: loss(ratio * (1 + change[0]) + change[1], weights).mean())(log_ratios(2, 400, 32))
    values = torch.stack([torch.autograd.grad(part.mean(), change, retain_graph=True)[0] for part in each.chunk(20)])
    error = values.std(dim=0) / math.sqrt(20)
    assert (error < 0.02).all()
    assert (values.mean(dim=0).abs() < 4 * error).all()


@cache
def ratios(information: float) -> Tensor:
    return log_ratios(information, 150, 128)


def of_shifted(case: str, **settings: float):
    """The critic is best at the log ratio plus one."""
    estimate = function_of(case, **settings)
    return lambda scores, weights: estimate(scores + 1, weights)


KNOWN = {
    "InfoNCEBound": (function_of("InfoNCEBound"), 1.89, 4.22),
    "NWJ": (of_shifted("NWJ"), 2.00, 6.01),
    "DonskerVaradhan": (function_of("DonskerVaradhan"), 2.00, 6.12),
    "JensenShannon": (function_of("JensenShannon"), 2.00, 6.01),
    "SMILE": (function_of("SMILE", clip=5.0), 2.03, 6.74),
    "LeaveOneOut": (function_of("LeaveOneOut"), 2.10, 7.41),
    "FLO": (function_of("FLO", lambda contrast: -contrast.scores.diagonal()), 2.00, 6.01),
}


@pytest.mark.parametrize("name", KNOWN)
def test_an_estimate_has_the_known_nats(name):
    """Within four standard errors and the rounding of the known value; with independent variables none."""
    estimate, at_2, at_6 = KNOWN[name]
    for information, expected, at_most in ((1e-6, 0.0, 0.01), (2, at_2, 0.03), (6, at_6, 0.09)):
        mean, error = mean_and_error(estimate, ratios(information))
        assert error <= at_most
        assert mean == pytest.approx(expected, abs=4 * error + 0.01)


def test_infonce_of_a_density_over_latents_is_wrong_by_nats_on_the_column_axis():
    """`log p(x | y)` is the log ratio plus `log p(x)`, a constant of its row alone."""
    density = ratios(2) - pairs(2, 150, 128)[0].square().sum(dim=-1)[:, :, None] / 2
    on_rows, on_columns = (mean_and_error(function_of("InfoNCEBound"), scores)[0] for scores in (density, density.mT))
    assert on_rows == pytest.approx(1.89, abs=0.05)
    assert on_columns < 0


@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_interpolated_lies_between_infonce_and_the_truth(alpha):
    mean, error = mean_and_error(of_shifted("Interpolated", alpha=alpha), ratios(6))
    capped, _ = mean_and_error(function_of("InfoNCEBound"), ratios(6))
    assert error <= 0.09
    assert capped < mean < 6 + 3 * error
