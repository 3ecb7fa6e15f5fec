"""The contract of critics."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from framework.critics.base import Critic, examine
from framework.data import Latent
from framework.errors import UserError
from framework.lab.critics import learned_row
from framework.lab.kalman import Kalman
from framework.lab.members import Member
from framework.lab.settings import CriticsSettings
from framework.specs import LatentSpec
from framework.testing.checks import assert_metrics, assert_shape
from framework.testing.contract import Contract
from framework.testing.samples import latent, latent_spec, normal, requiring_gradient

EMBEDDING = 5
Built = list[tuple[Critic, Latent, Tensor]]


def over_all_values(member: Member) -> Iterator[tuple[Critic, LatentSpec, Tensor, float]]:
    """The critic for each kind of latent of one number or one group, with all values that this can take, and the size of a cell."""
    for kind in member.cls.takes_latent:
        values = {"gaussian": torch.linspace(-60, 60, 24_001)[:, None], "categorical": torch.eye(3)}[kind]
        spec = LatentSpec(deterministic=6, stochastic=values.shape[1], kind=kind, classes={"gaussian": None, "categorical": 3}[kind])
        cell = {"gaussian": 120 / 24_000, "categorical": 1.0}[kind]
        yield member.build(latent=spec, embedding_size=EMBEDDING), spec, values, cell


@torch.no_grad()
def largest_score(critic: Critic, factor: float, latents: Latent, embeddings: Tensor) -> float:
    """The largest absolute score when every parameter is multiplied by a factor."""
    parameters = {name: factor * parameter for name, parameter in critic.named_parameters()}
    return float(torch.func.functional_call(critic, parameters, (latents, embeddings)).abs().max())


class CriticContract(Contract):
    """What every critic promises."""

    family = "critics"

    @pytest.fixture
    def built(self, member: Member) -> Built:
        """The critic for each kind of latent that it takes, with 4 latents and 6 embeddings to score."""
        parts = []
        for kind in member.cls.takes_latent:
            spec = latent_spec(kind)
            critic = member.build(latent=spec, embedding_size=EMBEDDING)
            of_latents = critic.candidate == "stochastic"
            candidates = latent(6, spec=spec, seed=2).stochastic if of_latents else normal(6, EMBEDDING, seed=2)
            parts.append((critic, latent(4, spec=spec), candidates))
        assert parts, "`takes_latent` is empty"
        return parts

    def test_it_scores_every_latent_against_every_embedding(self, built):
        for critic, latents, embeddings in built:
            scores = critic(latents, embeddings)
            assert_shape("the score matrix of 4 latents (rows) and 6 embeddings (columns)", scores, 4, 6)
            assert (scores.std(dim=0) > 1e-4).all(), "the score of an embedding is the same for every latent"
            assert (scores.std(dim=1) > 1e-4).all(), "the score of a latent is the same for every embedding"

    def test_a_score_depends_on_its_own_pair_alone(self, built):
        for critic, latents, embeddings in built:
            scores = critic(latents, embeddings)
            for i in range(4):
                for j in range(6):
                    alone = critic(latents.map(lambda tensor, row=i: tensor[row : row + 1]), embeddings[j : j + 1])
                    assert torch.allclose(alone, scores[i, j], atol=1e-4), f"the score of latent {i} and embedding {j} changes with others"

    def test_it_is_float32_under_bfloat16(self, built):
        for critic, latents, embeddings in built:
            exact = critic(latents, embeddings)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                under = critic(latents, embeddings)
                cast = critic(latents.map(torch.Tensor.bfloat16), embeddings.bfloat16())
            assert under.dtype == cast.dtype == torch.float32
            assert torch.equal(under, exact)

    def test_a_density_integrates_to_one_over_what_it_declares(self, member):
        """Integrates `exp f` along one axis: a density gives one, whatever stands on the other side."""
        for critic, spec, values, cell in over_all_values(member):
            if critic.normalized_over == "latent":
                points = latent(len(values), spec=spec)
                points.stochastic.copy_(values)
                total = critic(points, normal(3, EMBEDDING)).exp().sum(dim=0)
            elif critic.normalized_over == "observation" and critic.candidate == "stochastic":
                total = critic(latent(3, spec=spec), values).exp().sum(dim=1)
            elif critic.normalized_over == "observation":
                pytest.skip("embeddings cannot be run through")
            else:
                assert critic.normalized_over is None
                continue
            assert torch.allclose(total * cell, torch.ones(3), atol=1e-2), f"exp f sums to {(total * cell).tolist()}"

    def test_its_scores_stay_in_a_range_where_it_declares_them_bounded(self, built):
        """Training may make its parameters, and what the encoder gives, larger without end."""
        for critic, latents, embeddings in built:
            if not critic.bounded:
                continue
            for factors in ((1.0, 1.0), (100.0, 10_000.0), (-100.0, -10_000.0)):  # the first: the embeddings alone grow
                sizes = zip(factors, (100.0, 10_000.0), strict=True)
                large, larger = (largest_score(critic, factor, latents, size * embeddings) for factor, size in sizes)
                assert larger <= 10 * large < math.inf, (
                    f"`bounded` is True, and the largest score grows from {large:.3g} to {larger:.3g} where embeddings and parameters do"
                )

    def test_both_sides_and_every_parameter_have_gradients(self, built):
        for critic, latents, embeddings in built:
            latents, embeddings = requiring_gradient(latents), embeddings.clone().requires_grad_()
            total = (critic(latents, embeddings) * normal(4, 6, seed=7)).sum()
            assert total.requires_grad, "the scores have no gradient at all"
            parts = [latents.stochastic, *latents.statistics.values()]
            named = dict(critic.named_parameters())
            gradients = torch.autograd.grad(total, [*parts, embeddings, *named.values()], allow_unused=True)
            of_latents, others = gradients[: len(parts)], gradients[len(parts) :]
            reached = any(gradient is not None and (gradient.abs().sum(dim=-1) > 0).all() for gradient in of_latents)
            assert reached, "a latent has no gradient"
            for name, gradient in zip(("the embeddings", *named), others, strict=True):
                assert gradient is not None, f"no score has a gradient for {name}"
                assert gradient.abs().sum() > 0, f"no score has a gradient for {name}"

    def test_it_says_what_it_costs(self, member):
        assert getattr(member.cls, "cost", ""), '`cost` is missing: the work for N latents and M candidates, as in "N F E + N M E"'

    def test_its_scores_are_finite_and_those_of_pairs_are_the_diagonal(self, built):
        for critic, latents, embeddings in built:
            pairs, scores = critic.score_pairs(latents, embeddings[:4]), critic(latents, embeddings)
            assert torch.allclose(pairs, scores.diagonal(), atol=1e-5), "`score_pairs` is not the diagonal of the scores"
            assert torch.equal(examine(critic, latents, embeddings), scores)

    def test_its_metrics_are_numbers(self, built):
        for critic, _, embeddings in built:
            metrics = critic.diagnose(embeddings)
            assert_metrics(critic, metrics)
            wrong = [name for name in metrics if not name.startswith("contrastive/")]
            assert not wrong, f"the metric '{wrong[0]}' must begin with 'contrastive/'"

    def test_another_kind_of_latent_is_refused(self, member):
        for kind in {"gaussian", "categorical"} - set(member.cls.takes_latent):
            with pytest.raises(UserError, match=rf"{member.name} takes a latent that is .*gives a {kind} one"):
                member.build(latent=latent_spec(kind), embedding_size=EMBEDDING)

    def test_what_it_learns_of_a_kalman_filter_does_not_exceed_the_truth(self, member):
        """Trained by InfoNCE for a few steps on latents whose information about the observation is known."""
        settings = CriticsSettings(steps=30, candidates=64, batches=20)
        row = learned_row(settings, Kalman(phi=settings.phi, noise=settings.noise, dimensions=settings.dimensions), member)
        mean, truth, error = (row.number(name) for name in ("mean", "truth", "stderr"))
        if math.isnan(truth):
            pytest.skip(row.note or "its information has no closed form")
        assert mean < truth + 4 * error, f"it estimates {mean:.2f} +- {error:.2f} nats where the truth is {truth:.2f}"
