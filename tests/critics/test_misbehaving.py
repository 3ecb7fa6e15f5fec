"""Invalid scores of a user's critic: the message names the critic and what is expected."""

import pytest
import torch

from framework import critics
from framework.critics.base import examine, examined
from framework.data import Latent
from framework.errors import UserError
from framework.testing.samples import LATENT, latent, normal


class FaultyCritic(critics.Critic):
    """A critic that changes its scores by a function."""

    cost = "one product"

    def __init__(self, spoil) -> None:
        super().__init__(latent=LATENT, embedding_size=5)
        self.spoil = spoil

    def score(self, latents: Latent, embeddings):
        return self.spoil(latents.features[:, :5] @ embeddings.T)


def example():
    return latent(4), normal(6, 5, seed=2)


@pytest.mark.parametrize(
    ("spoil", "form"),
    [
        (lambda scores: scores.T, r"torch.float32 of shape \[6, 4\]"),
        (lambda scores: scores.diagonal(), r"torch.float32 of shape \[4\]"),
        (torch.Tensor.bfloat16, r"torch.bfloat16 of shape \[4, 6\]"),
        (torch.Tensor.tolist, r"a list"),
    ],
)
def test_a_wrong_shape_or_precision_is_refused_at_once(spoil, form):
    with pytest.raises(UserError, match=rf"FaultyCritic.score gives {form}, and must give torch.float32 of shape \[4, 6\]"):
        FaultyCritic(spoil)(*example())


def test_scores_that_are_not_finite_are_refused_on_examination():
    critic = FaultyCritic(lambda scores: scores / 0)
    with pytest.raises(UserError, match=r"FaultyCritic.score gives 24 of 24 scores that are nan or infinite.*a finite number"):
        examine(critic, *example())
    assert not critic(*example()).isfinite().all()


def test_a_critic_with_infinite_inputs_is_not_refused():
    latents, embeddings = example()
    assert examine(FaultyCritic(lambda scores: scores), latents, embeddings * torch.inf).isnan().any()


def test_every_critic_of_a_module_is_examined_inside_the_context_alone():
    pair = torch.nn.ModuleList([FaultyCritic(lambda scores: scores), FaultyCritic(lambda scores: scores / 0)])
    with examined(pair):
        pair[0](*example())
        with pytest.raises(UserError, match="FaultyCritic"):
            pair[1](*example())
    pair[1](*example())
