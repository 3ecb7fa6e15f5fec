"""The contract of bounds, held against the known information of correlated Gaussians."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from framework.bounds.base import Bound
from framework.contrastive.contrast import Contrast
from framework.contrastive.pairs import PositivePairs
from framework.critics.base import Critic
from framework.critics.bilinear_critic import BilinearCritic
from framework.lab.bounds import contrast_of, exact_scores, optimal
from framework.lab.members import Member
from framework.lab.sources import GaussianPairs
from framework.specs import LatentSpec
from framework.testing.checks import assert_reaches, assert_shape, unchanged
from framework.testing.contract import Contract
from framework.testing.samples import LATENT, contrast, normal, origin, seeded

SIZES = {"latent": LATENT, "embedding_size": 5}
NATS, DIMENSIONS, CANDIDATES, BATCHES = 2.0, 4, 128, 64
"""Of the correlated Gaussians: far below `log K`, where every estimate is near the truth with the best critic."""
OFFSETS = (-0.5, 0.5)
"""Added to the best critic, which no loss is to prefer."""
ERRORS = 4.0
"""Standard errors of the mean that are no contradiction."""


def example(critic: Critic, seed: int = 0) -> Contrast:
    return contrast(torch.zeros(12, 12), origin(3, 4), critic, seed=seed)


def mean_and_error(values: list[torch.Tensor]) -> tuple[float, float]:
    stacked = torch.stack(values).double()
    return stacked.mean().item(), stacked.std().item() / math.sqrt(len(values))


class BoundContract(Contract):
    """What every bound promises."""

    family = "bounds"

    @pytest.fixture
    def bound(self, member: Member) -> Bound:
        return member.build(**SIZES)

    @pytest.fixture
    def critic(self) -> Critic:
        return BilinearCritic(latent=LATENT, embedding_size=5)

    @pytest.fixture
    def best(self, member: Member):
        """The bound for Gaussian pairs, and their contrasts with the best critic, to which an offset is added."""
        pairs = GaussianPairs.of(NATS, DIMENSIONS)
        latent = LatentSpec(deterministic=0, stochastic=DIMENSIONS, kind="gaussian")
        bound = optimal(member.build(latent=latent, embedding_size=DIMENSIONS), pairs)

        def contrasts(offset: float = 0.0) -> list[Contrast]:
            scores, generator = partial(exact_scores, pairs, "log ratio", bound.baseline + offset), seeded(1)
            return [contrast_of(scores, *pairs.draw(CANDIDATES, generator), "row") for _ in range(BATCHES)]

        return bound, contrasts

    @torch.no_grad()
    def test_its_estimate_lies_on_its_side_of_the_true_information(self, best):
        """Of Gaussian pairs with 2 nats, by the best critic: `log p(x, y) / p(x) p(y)` plus `baseline`."""
        bound, contrasts = best
        mean, error = mean_and_error([bound.estimate(each).mean() for each in contrasts()])
        said = f"with the best critic it estimates {mean:.2f} +- {error:.2f} nats where the truth is {NATS:.2f}"
        assert bound.side != "lower" or mean < NATS + ERRORS * error, f"{said}: it is no lower bound, as `side` says"
        assert bound.side != "upper" or mean > NATS - ERRORS * error, f"{said}: it is no upper bound, as `side` says"
        assert abs(mean - NATS) < 0.25 + ERRORS * error, f"{said}: is `baseline` what its best critic adds to the log ratio?"

    @torch.no_grad()
    def test_its_estimate_is_highest_at_its_best_critic(self, best):
        """`baseline` is what the best critic adds to the log ratio; each offset from it is compared on the same pairs."""
        bound, contrasts = best
        if bound.side != "lower":
            pytest.skip("only the highest of lower bounds is the best one")
        estimates = [bound.estimate(each).mean() for each in contrasts()]
        for offset in OFFSETS:
            gain, error = mean_and_error(
                [bound.estimate(each).mean() - one for one, each in zip(estimates, contrasts(offset), strict=True)]
            )
            assert gain < ERRORS * error + 1e-3, (
                f"with baseline = {bound.baseline + offset:g} the estimate at the best critic is higher by {gain:.3f} +- {error:.3f} nats "
                f"than with baseline = {bound.baseline:g}, and still a lower bound"
            )

    def test_it_gives_one_number_for_each_anchor_up_to_its_cap(self, bound, critic):
        assert_shape("the estimate", bound.estimate(example(critic)), 12)
        assert_shape("the loss", bound.loss(example(critic)), 12)
        exceeds = bound.capped and (bound.estimate(example(critic)) > math.log(12) + 1e-5).any()
        assert not exceeds, "an estimate is above log K, and `capped` is True"

    def test_an_anchor_depends_on_the_others_only_where_it_joins_anchors(self, bound, critic):
        """Of blocks of 5 anchors and of all; an anchor without a negative is among them."""
        whole = example(critic)
        pairs = PositivePairs(critic, whole.source, whole.anchors, torch.ones(12, dtype=torch.bool))
        blocks = [pairs.contrast("row", slice(first, min(first + 5, 12))) for first in (0, 5, 10)]
        lonely = [block.keep((block.anchors.time != 3)[:, None].expand_as(block.scores)) for block in (whole, *blocks)]
        for function in (bound.loss, bound.estimate):
            for all_, *parts in ((whole, *blocks), lonely):
                alike = torch.allclose(torch.cat([function(part) for part in parts]), function(all_), atol=1e-5)
                assert alike or bound.joins_anchors, "an anchor's number changes with the other anchors: declare `joins_anchors = True`"
        joins = not torch.allclose(bound.estimate(blocks[0]), bound.estimate(whole)[:5], atol=1e-5)
        assert joins or not bound.joins_anchors, "no anchor's number changes with the others: `joins_anchors` is False"

    def test_a_masked_candidate_changes_nothing(self, bound, critic):
        left_out = torch.zeros(12, 12).masked_fill((normal(12, 12, seed=3) > 0.5) & ~torch.eye(12, dtype=torch.bool), -torch.inf)
        changed = example(critic).weigh(left_out)
        changed = replace(changed, scores=changed.scores.masked_fill(left_out.isneginf(), 1e6))
        clean = example(critic).weigh(left_out)
        for name in ("estimate", "loss"):
            one, other = (getattr(bound, name)(each) for each in (changed, clean))
            assert torch.allclose(one, other), f"the {name} depends on scores whose log-weight is -inf"

    def test_an_anchor_without_negatives_has_finite_values_and_gradients(self, bound, critic):
        lonely = example(critic).keep((torch.arange(12) > 3)[:, None].expand(12, 12))
        lonely = replace(lonely, scores=lonely.scores.detach().requires_grad_())
        loss = bound.loss(lonely)
        (gradient,) = torch.autograd.grad(loss.sum(), lonely.scores)
        assert all(value.isfinite().all() for value in (loss, bound.estimate(lonely), gradient))

    def test_the_loss_raises_the_positives_and_lowers_the_negatives(self, bound, critic):
        if bound.side == "upper":
            pytest.skip("an upper bound is not trained")
        contrasted = example(critic)
        scores = contrasted.scores.detach().requires_grad_()
        loss = bound.loss(replace(contrasted, scores=scores)).mean()
        assert loss.requires_grad, "the loss has no gradient to the scores"
        (gradient,) = torch.autograd.grad(loss, scores)
        assert (gradient.diagonal() < 0).all(), "the loss does not fall as a positive's score rises"
        assert (gradient[contrasted.negative] >= 0).all(), "the loss falls as a negative's score rises"
        assert (gradient[contrasted.negative] > 0).any(), "no negative has an effect on the loss"

    def test_the_loss_and_the_estimate_together_are_each_of_them(self, bound, critic):
        loss, estimate = bound.loss_and_estimate(example(critic))
        assert torch.allclose(loss, bound.loss(example(critic)), atol=1e-5)
        assert torch.allclose(estimate, bound.estimate(example(critic)), atol=1e-5)
        assert loss.requires_grad
        assert not estimate.requires_grad, "the estimate is a metric, and carries a gradient: detach it"

    def test_every_parameter_learns(self, bound, critic):
        assert_reaches(bound.loss(example(critic)).mean(), bound)

    def test_a_loss_and_an_estimate_have_no_side_effect(self, bound, critic):
        with unchanged(bound):
            bound.loss(example(critic))
            bound.estimate(example(critic))

    def test_its_state_changes_after_an_update_only_where_it_is_stateful(self, bound, critic):
        before = {name: value.clone() for name, value in bound.state_dict().items()}
        bound.after_update(example(critic))
        changed = any(not torch.equal(before[name], value) for name, value in bound.state_dict().items())
        assert changed == bound.is_stateful

    def test_constant_scores_have_an_estimate_of_zero(self, bound, critic):
        """At the score that is best where latent and observation are independent."""
        constant = replace(example(critic), scores=torch.full((12, 12), bound.baseline))
        mean = bound.estimate(constant).mean().item()
        assert mean == pytest.approx(0.0, abs=0.02), f"where all scores are `baseline` = {bound.baseline:g} it estimates {mean:.3f} nats"
