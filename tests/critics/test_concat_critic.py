"""The network on pairs: its pieces change nothing, and a thousand by a thousand pairs fit into memory."""

import subprocess
import sys

import pytest
import torch

from framework.critics.concat_critic import ConcatCritic
from framework.errors import UserError
from tests.members import ROOT
from tests.tiny import LATENT, latent, normal, requiring_gradient

GROWTH = """
import resource, sys
import psutil, torch
from framework.critics.concat_critic import ConcatCritic
from framework.data import Latent, LatentSpec

torch.set_num_threads(1)
anchors, candidates = 64, 1024
critic = ConcatCritic(latent=LatentSpec(deterministic=200, stochastic=30, kind="gaussian"), embedding_size=1024)
belief = Latent(deterministic=torch.randn(anchors, 200), stochastic=torch.randn(anchors, 30, requires_grad=True), statistics={})
before = psutil.Process().memory_info().rss
critic(belief, torch.randn(candidates, 1024)).sum().backward()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(peak - before)
"""


def make(**settings) -> ConcatCritic:
    return ConcatCritic(**({"latent": LATENT, "embedding_size": 5, "units": 8} | settings))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_it_is_one_network_on_the_joined_pair(layers):
    critic = make(layers=layers)
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    scores = critic(latents, embeddings)
    for i in range(4):
        for j in range(6):
            pair = torch.cat([latents.stochastic[i], latents.deterministic[i], embeddings[j]])
            assert torch.allclose(scores[i, j], critic.rest(critic.first(pair)), atol=1e-5)
    assert sum(isinstance(each, torch.nn.ReLU) for each in critic.modules()) == layers


@pytest.mark.parametrize("pairs_at_once", [1, 7, 12, 1_000])
def test_the_size_of_its_pieces_changes_neither_scores_nor_gradients(pairs_at_once):
    weight, found = normal(5, 6, seed=7), []
    whole, pieces = make(), make(pairs_at_once=pairs_at_once)
    pieces.load_state_dict(whole.state_dict())
    for critic in (whole, pieces):
        latents, embeddings = requiring_gradient(latent(5)), normal(6, 5, seed=2).requires_grad_()
        scores = critic(latents, embeddings)
        leaves = [latents.stochastic, latents.deterministic, embeddings, *critic.parameters()]
        found.append([scores, *torch.autograd.grad((scores * weight).sum(), leaves)])
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in zip(*found, strict=True))


def test_it_keeps_no_pair_for_the_backward_pass():
    """What autograd saves grows with the pieces' ends, not with the pairs."""
    saved: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        make(units=32, pairs_at_once=200)(latent(100), normal(100, 5))
    assert max(saved) < 100 * 100


def test_a_thousand_by_a_thousand_pairs_take_less_than_two_gigabytes():
    """Forward and backward, two of the default pieces; more of them add the scores alone, four bytes for each pair a few times."""
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(done.stdout) + 10 * 4 * 1024**2 < 1e9


@pytest.mark.parametrize("setting", ["layers", "pairs_at_once"])
def test_nothing_of_it_can_be_0(setting):
    with pytest.raises(UserError, match=rf"ConcatCritic.{setting} = 0 must be at least 1"):
        make(**{setting: 0})
