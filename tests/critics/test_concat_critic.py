"""The network on pairs: its blocks change neither scores nor gradients, and keep memory small."""

import pytest
import torch

from framework.critics.concat_critic import ConcatCritic
from framework.testing.samples import LATENT, latent, normal, requiring_gradient


def make(**settings) -> ConcatCritic:
    return ConcatCritic(**({"latent": LATENT, "embedding_size": 5, "units": 8} | settings))


@pytest.mark.parametrize("layers", [1, 3])
def test_it_is_one_network_on_the_joined_pair(layers):
    critic = make(layers=layers)
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    scores = critic(latents, embeddings)
    for i in range(4):
        for j in range(6):
            pair = torch.cat([latents.stochastic[i], latents.deterministic[i], embeddings[j]])
            assert torch.allclose(scores[i, j], critic.rest(critic.first(pair)), atol=1e-5)
    assert sum(isinstance(each, torch.nn.ReLU) for each in critic.modules()) == layers


@pytest.mark.parametrize("pairs_at_once", [1, 12])
def test_the_size_of_its_blocks_changes_neither_scores_nor_gradients(pairs_at_once):
    weight, results = normal(5, 6, seed=7), []
    whole, pieces = make(), make(pairs_at_once=pairs_at_once)
    pieces.load_state_dict(whole.state_dict())
    for critic in (whole, pieces):
        latents, embeddings = requiring_gradient(latent(5)), normal(6, 5, seed=2).requires_grad_()
        scores = critic(latents, embeddings)
        leaves = [latents.stochastic, latents.deterministic, embeddings, *critic.parameters()]
        results.append([scores, *torch.autograd.grad((scores * weight).sum(), leaves)])
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in zip(*results, strict=True))


def test_it_saves_no_activation_of_a_pair_for_the_backward_pass():
    """The largest tensor that autograd saves is smaller than one number for each pair."""
    saved: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        make(units=32, pairs_at_once=200)(latent(100), normal(100, 5))
    assert max(saved) < 100 * 100
