"""What every negative-sampling strategy promises, alone and around another."""

import math
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from framework.contrastive.contrast import Contrast, UnitVectors
from framework.contrastive.origin import Origin
from framework.critics.cosine_critic import CosineCritic
from framework.data import ExtraCandidates
from framework.errors import UserError
from framework.functional import contrastive
from framework.functional.distributions import gaussian_scores
from framework.lab.members import Member
from framework.lab.negatives import rows_of
from framework.lab.settings import NegativesSettings
from framework.negatives.base import Negatives
from framework.negatives.cross_sequence import CrossSequence
from framework.testing.checks import unchanged
from framework.testing.contract import Contract
from framework.testing.samples import LATENT, contrast, key_of, normal, origin, seeded

SIZES = [(2, 16), (3, 12)]
"""Long enough for strategies that leave out the steps around an anchor."""
EMBEDDING = 5
LAB = NegativesSettings(batch=8, length=8, batches=60)
"""Sequences of known structure, in which steps of the own sequence are false negatives."""


def made(member: Member, **settings) -> Negatives:
    strategy = member.build(**settings)
    for each in strategy.each():
        each.allocate(EMBEDDING)
    return strategy


def apply(strategy, critic, steps: Origin, seed: int = 0):
    size = steps.row.shape[0]
    return strategy(contrast(torch.zeros(size, size), steps, critic, seed=seed), key_of(seed))


class NegativesContract(Contract):
    """What every negative-sampling strategy promises, alone and around another."""

    family = "negatives"

    @pytest.fixture
    def strategy(self, member):
        return made(member)

    @pytest.fixture
    def critic(self) -> CosineCritic:
        """Of unit vectors, so that they can be mixed too."""
        return CosineCritic(latent=LATENT, embedding_size=EMBEDDING)

    @pytest.mark.parametrize(("rows", "times"), SIZES)
    def test_its_contrast_keeps_the_positive_and_a_negative_of_every_anchor(self, strategy, critic, rows, times):
        original = contrast(torch.zeros(rows * times, rows * times), origin(rows, times), critic)
        chosen = strategy(original, key_of(0))
        weights = chosen.log_weights
        assert chosen.scores.shape == weights.shape == (rows * times, chosen.candidates.row.shape[0])
        assert torch.equal(chosen.scores[:, : rows * times].diagonal(), original.scores.diagonal()), "the scores of the positives change"
        assert chosen.scores.isfinite().all()
        assert weights.dtype == torch.float32
        assert (weights.isfinite() | weights.isneginf()).all(), "a log-weight is neither a number nor -inf"
        assert (weights.diagonal() == 0).all() or not strategy.keeps_positive, "a positive has a log-weight other than 0"
        assert (chosen.negative.sum(dim=1) >= 1).all(), f"of {rows} sequences of {times} steps it leaves an anchor without a negative"

    def test_one_sequence_or_one_step_has_a_finite_loss_or_is_refused(self, strategy, critic):
        for rows, times in ((1, 4), (4, 1), (1, 1)):
            with suppress(UserError):
                chosen = apply(strategy, critic, origin(rows, times))
                assert contrastive.infonce_loss(chosen.scores, chosen.log_weights).isfinite().all()

    def test_an_update_changes_its_choice_only_where_it_is_stateful(self, strategy, critic):
        before = apply(strategy, critic, origin(3, 4))
        strategy.after_update(normal(4, EMBEDDING, seed=8), origin(2, 2))
        after = apply(strategy, critic, origin(3, 4))
        changed = not torch.equal(before.log_weights, after.log_weights)
        assert changed == strategy.is_stateful, (
            f"`is_stateful` is {strategy.is_stateful}, and its choice {'changes' if changed else 'stays'}"
        )
        assert strategy.is_stateful or not list(strategy.buffers())

    def test_it_draws_from_its_key_alone(self, strategy, critic):
        before = apply(strategy, critic, origin(3, 4))
        torch.manual_seed(99)
        after = apply(strategy, critic, origin(3, 4))
        assert torch.equal(before.log_weights, after.log_weights)
        assert torch.equal(before.scores, after.scores)

    def test_its_choice_is_the_same_under_bfloat16(self, strategy, critic):
        exact = apply(strategy, critic, origin(3, 4))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            under = apply(strategy, critic, origin(3, 4))
        assert under.scores.dtype == under.log_weights.dtype == torch.float32
        assert torch.allclose(under.scores, exact.scores, atol=1e-4)
        assert torch.allclose(under.log_weights, exact.log_weights, atol=1e-4)

    def test_it_stays_on_the_device_of_the_contrast(self, strategy, critic):
        """On the meta device, which refuses tensors of another."""
        with torch.device("meta"):
            steps, seed = Origin.of(torch.empty(3, 4, dtype=torch.long)), torch.empty((), dtype=torch.long)
        original = contrast(torch.zeros(12, 12), origin(3, 4), critic)
        source = replace(
            original.source,
            latents=original.source.latents.map(lambda part: part.to("meta")),
            embeddings=original.source.embeddings.to("meta"),
            score=critic.score,
            score_pairs=lambda latents, embeddings: critic.score(latents, embeddings).diagonal(),
            units=lambda latents, embeddings: UnitVectors(
                critic.embed_latents(latents), critic.embed_candidates(embeddings), critic.scale()
            ),
            extra=ExtraCandidates(torch.empty(7, EMBEDDING, device="meta"), torch.empty(7, dtype=torch.long, device="meta")),
            action=original.source.action.to("meta"),
            is_first=original.source.is_first.to("meta"),
            reward=original.source.reward.to("meta"),
            predict=lambda action, anchors: source.latents.map(lambda part: part + action.sum(dim=-1, keepdim=True)),
        )
        critic.to("meta")
        chosen = strategy.to("meta")(Contrast.of(original.scores.to("meta"), steps, source), seed)
        assert chosen.scores.device == chosen.log_weights.device == chosen.candidates.row.device == torch.device("meta")
        strategy.after_update(torch.empty(12, EMBEDDING, device="meta"), steps)

    def test_choosing_has_no_side_effect(self, strategy, critic):
        with unchanged(strategy):
            apply(strategy, critic, origin(3, 4))

    def test_around_another_it_leaves_out_the_candidates_that_the_other_leaves_out(self, member, critic):
        if "of" not in {each.name for each in member.component.settings} or member.name == "InBatch":
            pytest.skip("it wraps no other strategy")
        wrapping = made(member, of=CrossSequence)
        chosen = apply(wrapping, critic, origin(3, 4))
        own = (chosen.anchors.row[:, None] == chosen.candidates.row[None, :]) & ~chosen.positive
        assert chosen.log_weights[own].isneginf().all()
        assert [type(each).__name__ for each in wrapping.each()] == [member.name, "CrossSequence"]
        assert not wrapping.bounds_below()

    def test_a_lower_bound_stays_below_the_information(self, strategy):
        """With the exact critic, on sequences of independent steps; two sequences, where leaving out the own one shows most."""
        if strategy.adds_candidates or strategy.needs_source:
            pytest.skip("it needs more than scores, and these sequences have no more")
        information, size, rows, times = 4.0, 4, 2, 8
        rho = math.sqrt(1 - math.exp(-2 * information / size))
        steps, generator, estimates = origin(rows, times), seeded(3), []
        for number in range(40):
            x, noise = torch.randn(2, rows * times, size, generator=generator)
            y = rho * x + math.sqrt(1 - rho**2) * noise
            scores = gaussian_scores(x, rho * y, torch.full_like(x, math.sqrt(1 - rho**2)))
            chosen = strategy(contrast(scores, steps), key_of(number))
            estimates.append(contrastive.infonce_estimate(chosen.scores, chosen.log_weights).mean())
        mean = torch.stack(estimates).mean().item()
        said = f"with the exact critic it estimates {mean:.2f} nats where the truth is {information:.2f}"
        assert mean <= information or not strategy.is_lower_bound, f"{said}: it is no lower bound, and `is_lower_bound` is True"
        assert mean > 0.5, f"{said}: the candidates say too little"

    def test_in_the_laboratory_a_lower_bound_stays_below_the_information(self, member):
        """Of sequences half of whose information stays the same, which false negatives of the own sequence hide."""
        if not member.cls.is_lower_bound:
            pytest.skip("it is no lower bound")
        (row,) = rows_of(LAB, [member])
        mean, truth, error = row.number("mean"), row.number("truth"), row.number("stderr")
        assert not math.isnan(mean), row.note
        assert mean < truth + 4 * error, f"it estimates {mean:.2f} +- {error:.2f} nats where the truth is {truth:.2f}: no lower bound"

    def test_the_gradient_reaches_every_score_that_is_kept(self, strategy):
        scores = normal(12, 12, seed=4).requires_grad_()
        if strategy.adds_candidates or strategy.needs_source:
            return
        chosen = strategy(contrast(scores, origin(3, 4)), key_of(0))
        (gradient,) = torch.autograd.grad(contrastive.infonce_loss(chosen.scores, chosen.log_weights).sum(), scores)
        assert (gradient[chosen.negative] != 0).all()
        assert (gradient[chosen.log_weights.isneginf() & ~chosen.positive] == 0).all()
