"""A user's critic that gives what no bound can use is named, with what was expected."""

import pytest
import torch

from framework import critics
from framework.critics.base import examine, examined
from framework.data import Latent
from framework.errors import UserError
from tests.tiny import LATENT, latent, normal


class Wayward(critics.Critic):
    """Its scores after whatever is done to them."""

    cost = "one product"

    def __init__(self, spoil) -> None:
        super().__init__(latent=LATENT, embedding_size=5)
        self.spoil = spoil

    def score(self, latents: Latent, embeddings):
        return self.spoil(latents.features[:, :5] @ embeddings.T)


def given():
    return latent(4), normal(6, 5, seed=2)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda scores: scores.T, r"torch.float32 of shape \[6, 4\]"),
        (lambda scores: scores.diagonal(), r"torch.float32 of shape \[4\]"),
        (lambda scores: scores[..., None], r"torch.float32 of shape \[4, 6, 1\]"),
        (torch.Tensor.half, r"torch.float16 of shape \[4, 6\]"),
        (torch.Tensor.bfloat16, r"torch.bfloat16 of shape \[4, 6\]"),
        (torch.Tensor.double, r"torch.float64 of shape \[4, 6\]"),
        (torch.Tensor.tolist, r"a list"),
    ],
)
def test_a_wrong_shape_or_precision_is_named_at_once(spoil, found):
    with pytest.raises(UserError, match=rf"Wayward.score gives {found}, and must give torch.float32 of shape \[4, 6\]"):
        Wayward(spoil)(*given())


@pytest.mark.parametrize(
    ("spoil", "count"), [(torch.log, r"\d+"), (lambda scores: scores / 0, "24"), (lambda scores: scores * torch.nan, "24")]
)
def test_scores_that_are_no_numbers_are_named_on_examination(spoil, count):
    critic = Wayward(spoil)
    with pytest.raises(UserError, match=rf"Wayward.score gives {count} of 24 scores that are nan or infinite.*must be a finite number"):
        examine(critic, *given())
    assert not critic(*given()).isfinite().all()


def test_a_critic_is_not_blamed_for_what_it_was_given():
    latents, embeddings = given()
    assert examine(Wayward(lambda scores: scores), latents, embeddings * torch.inf).isnan().any()


def test_every_critic_of_a_module_is_examined_and_only_within():
    held = torch.nn.ModuleList([Wayward(lambda scores: scores), Wayward(lambda scores: scores / 0)])
    with examined(held):
        held[0](*given())
        with pytest.raises(UserError, match="Wayward"):
            held[1](*given())
    held[1](*given())
