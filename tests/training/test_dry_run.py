"""The update of a deep check names the part that is wrong, on a batch that every objective accepts."""

import math

import pytest
import torch

from framework import critics
from framework.errors import UserError
from framework.specs import LatentSpec
from framework.training.dry_run import dry_run


@critics.register
class Unnumbered(critics.Critic):
    """Scores that are no numbers."""

    cost = "one product"

    def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.map = torch.nn.Linear(latent.feature_size, embedding_size)

    def score(self, latents, embeddings):
        return (self.map(latents.features) @ embeddings.T).sub(1e9).log()


def test_a_critic_that_gives_no_numbers_is_named(tiny):
    with pytest.raises(UserError, match=r"Unnumbered.score gives \d+ of \d+ scores that are nan or infinite"):
        dry_run(tiny("InfoNCE.critic=@critics.Unnumbered"))


def test_its_batch_is_as_large_as_an_objective_needs(tiny):
    assert dry_run(tiny("InfoNCE.offsets=(19,)", "Replay.length=20"))["train/model_loss"] < float("inf")
    assert dry_run(tiny("InfoNCE.negatives=@TopK", "TopK.count=23"))["contrastive/ceiling"] == pytest.approx(math.log(24))


def test_single_steps_are_drawn_if_the_run_draws_them(tiny):
    assert dry_run(tiny("InfoNCE.negatives=@ReplayNegatives", "Replay.extra_candidates=3"))["contrastive/ceiling"] == pytest.approx(
        math.log(4)
    )
