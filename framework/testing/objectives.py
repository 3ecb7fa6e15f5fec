"""The contract of objectives."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from framework.data import InferredBatch, Losses
from framework.errors import UserError
from framework.lab.members import Member
from framework.objectives.base import Objective, same_episode
from framework.specs import LatentSpec
from framework.testing.checks import assert_losses, assert_metrics, assert_reaches, parts_of, unchanged
from framework.testing.contract import Contract
from framework.testing.samples import DYNAMICS, TIMES, example, key_of, latent_spec, normal, objective_sizes, requiring_gradient


def total(losses: Losses) -> Tensor:
    return torch.stack([loss.sum() for loss in losses.values()]).sum()


def gradients(loss: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Those that are there; none of a loss that has none."""
    if not loss.requires_grad:
        return []
    leaves = [leaf for leaf in leaves if leaf.requires_grad]
    return [each for each in torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) if each is not None]


def ahead(objective: Objective) -> int:
    """How many steps later a step needs another one: `reach`, and 1 where it is None or 0."""
    return max(1, objective.reach[1]) if objective.reach else 1


class ObjectiveContract(Contract):
    """What every objective promises."""

    family = "objectives"

    @pytest.fixture(params=["gaussian", "categorical"])
    def spec(self, request) -> LatentSpec:
        return latent_spec(request.param)

    @pytest.fixture
    def objective(self, member: Member, spec) -> Objective:
        return member.build(**objective_sizes(spec))

    @pytest.fixture
    def sample(self, spec, objective) -> InferredBatch:
        """Sequences of twice the objective's reach, so that most steps have a later one that far away."""
        return example(spec, times=2 * ahead(objective) + 3)

    def test_its_losses_are_the_ones_that_it_declares_for_each_step(self, objective, sample):
        losses, _ = objective(sample, DYNAMICS, key_of(0))
        assert_losses(objective, losses, objective.losses, tuple(sample.batch.reward.shape))

    def test_its_metrics_are_numbers_without_gradient(self, objective, sample):
        assert_metrics(objective, objective(sample, DYNAMICS, key_of(0))[1])

    def test_every_loss_learns(self, objective, sample):
        """Each has gradient for the latents or for a parameter."""
        changed = replace(sample, posterior=requiring_gradient(sample.posterior))
        for name, loss in objective(changed, DYNAMICS, key_of(0))[0].items():
            reached = gradients(loss.sum(), [*parts_of(changed.posterior), *objective.parameters()])
            assert any(gradient.abs().sum() > 0 for gradient in reached), f"the loss '{name}' has no gradient for latents or parameters"

    def test_the_latents_get_gradient_at_every_step_that_has_the_later_ones_it_needs(self, objective, sample):
        """Posterior or prior: the sample, its statistics or the deterministic part. None is needed within `reach` steps of an end.

        Of several embeddings, one suffices: a loss with a margin has no gradient where the margin is kept.
        """
        changed = replace(sample, posterior=requiring_gradient(sample.posterior), prior=requiring_gradient(sample.prior))
        parts = parts_of([changed.posterior, changed.prior])
        episode, steps = sample.batch.episode, ahead(objective)
        reached = torch.zeros(episode.shape)
        for seed in range(8):
            drawn = replace(changed, embedding=normal(*sample.embedding.shape, seed=seed))
            for gradient in gradients(total(objective(drawn, DYNAMICS, key_of(seed))[0]), parts):
                reached += gradient.abs().sum(dim=-1)
        expected = torch.zeros(episode.shape, dtype=torch.bool)
        expected[:, :-steps] = same_episode(episode, steps)
        assert expected.sum() > episode.numel() / 2
        assert (reached[expected] > 0).all(), f"steps without: {(expected & (reached == 0)).nonzero().tolist()} (row, time)"

    def test_no_step_is_paired_with_one_of_another_episode(self, objective, sample):
        """Where the last step of a row has no loss for want of a later one, the last step of an episode within the row has none either."""
        episode = sample.batch.episode
        ends = torch.zeros(episode.shape, dtype=torch.bool)
        ends[:, :-1] = ~same_episode(episode, 1)
        assert ends.sum() == 1
        for name, loss in objective(sample, DYNAMICS, key_of(0))[0].items():
            assert (loss[:, -1] != 0).any() or (loss[ends] == 0).all(), (
                f"the loss '{name}' pairs the last step of an episode with one of the next: mask pairs as `of_pairs` does"
            )

    def test_every_parameter_learns(self, objective, sample):
        assert_reaches(total(objective(sample, DYNAMICS, key_of(0))[0]), objective)

    def test_it_draws_from_its_key_alone(self, objective, sample):
        before, _ = objective(sample, DYNAMICS, key_of(0))
        torch.manual_seed(99)
        after, _ = objective(sample, DYNAMICS, key_of(0))
        assert all(torch.equal(before[name], after[name]) for name in before), "it draws from torch's generator: use the key"

    def test_check_accepts_sequences_and_refuses_those_that_are_shorter_than_its_reach(self, objective, member):
        objective.check(rows=4, times=max(TIMES, ahead(objective) + 2), extra=8)
        if objective.reach and objective.reach[1]:
            setting, steps = objective.reach
            with pytest.raises(UserError, match=rf"{member.name}\.{setting} .*sequences are {steps} steps long; bind a Replay.length"):
                objective.check(rows=4, times=steps, extra=8)

    def test_a_loss_has_no_side_effect(self, objective, sample):
        with unchanged(objective):
            objective(sample, DYNAMICS, key_of(0))

    def test_its_diagnostics_are_numbers_and_its_pictures_images(self, objective, sample, spec):
        with torch.no_grad():
            metrics = objective.diagnose(sample, DYNAMICS, key_of(0))
            pictures = objective.pictures(sample, DYNAMICS, key_of(0)) if spec.kind == "gaussian" else {}
        assert_metrics(objective, metrics)
        assert all(picture.dtype == torch.uint8 and picture.dim() == 3 for picture in pictures.values())

    def test_its_losses_are_float32_under_bfloat16(self, objective, sample):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses, _ = objective(sample, DYNAMICS, key_of(0))
        exact, _ = objective(sample, DYNAMICS, key_of(0))
        for name, loss in losses.items():
            assert loss.dtype == torch.float32, f"the loss '{name}' is {loss.dtype} under bfloat16: compute it from `.float()`"
            assert torch.allclose(loss, exact[name], rtol=0.05, atol=0.05), f"the loss '{name}' is another under bfloat16"
