"""Small sequences and latents, and copies of tensors and weights in float64 numpy."""

from typing import Any

import numpy as np
import torch
from dm_env import specs
from torch import Tensor, nn

from framework.data import Batch, InferredBatch, Latent, SecondView
from framework.testing.samples import normal, seeded
from tests.reference.layers import Perceptron

ROWS, TIMES = 3, 5
VECTOR = {"vector": specs.Array((3,), np.float32, name="vector")}
CONTINUOUS = specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="action")
DISCRETE = specs.DiscreteArray(3, name="action")
BOUNDARIES = ("one episode", "a time limit inside", "a terminal step inside", "a terminal step at the end")
"""Where the episodes of the second sequence end."""


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def assert_equal(actual: Tensor, expected: Any) -> None:
    np.testing.assert_allclose(array(actual), expected, rtol=1e-5, atol=1e-5)


def linears(module: nn.Module) -> list[tuple[np.ndarray, Any]]:
    """The pair `(W, b)` of each linear layer, in their order."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [(array(layer.weight), 0.0 if layer.bias is None else array(layer.bias)) for layer in layers]


def perceptron(module: nn.Module) -> Perceptron:
    """The perceptron of a module, with its weights as they are now."""
    return Perceptron(linears(module), [array(layer.weight) for layer in module.modules() if isinstance(layer, nn.RMSNorm)])


@torch.no_grad()
def perturb(module: nn.Module, seed: int) -> None:
    """Move every parameter, so that zeros, ones and equal copies are distinguished."""
    noise = seeded(seed)
    for parameter in module.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape, generator=noise))


def sequences(seed: int, boundary: str, action: specs.Array = CONTINUOUS) -> Batch:
    """A random batch; every sequence but the second is one episode."""
    is_first, is_terminal = torch.zeros(ROWS, TIMES, dtype=torch.bool), torch.zeros(ROWS, TIMES, dtype=torch.bool)
    is_first[0, 0] = True
    is_first[1, 2] = boundary in ("a time limit inside", "a terminal step inside")
    is_terminal[1, 1] = boundary == "a terminal step inside"
    is_terminal[1, -1] = boundary == "a terminal step at the end"
    drawn = normal(ROWS, TIMES, 3, seed=seed)
    options = nn.functional.one_hot(drawn.argmax(dim=-1), 3).float()
    actions = options if isinstance(action, specs.DiscreteArray) else drawn[..., :2]
    return Batch(
        observation={"vector": normal(ROWS, TIMES, 3, seed=seed + 1)},
        action=actions.masked_fill(is_first[..., None], 0.0),
        reward=normal(ROWS, TIMES, seed=seed + 2),
        is_first=is_first,
        is_terminal=is_terminal,
        episode=10 * torch.arange(ROWS)[:, None] + is_first.cumsum(dim=1),
    )


def gaussian_latent(seed: int) -> Latent:
    mean, std = normal(ROWS, TIMES, 4, seed=seed), 0.3 + normal(ROWS, TIMES, 4, seed=seed + 1).square()
    sample = mean + std * normal(ROWS, TIMES, 4, seed=seed + 2)
    return Latent(deterministic=normal(ROWS, TIMES, 6, seed=seed + 3), stochastic=sample, statistics={"mean": mean, "std": std})


def categorical_latent(seed: int) -> Latent:
    """Three groups of four classes, whose log-probabilities are a leaf of the gradient."""
    logits = normal(ROWS, TIMES, 3, 4, seed=seed).log_softmax(dim=-1).flatten(-2)
    return Latent(deterministic=logits[..., :6], stochastic=logits, statistics={"logits": logits.requires_grad_()})


def inferred_batch(seed: int, boundary: str = "one episode") -> InferredBatch:
    """A batch with Gaussian latents, and embeddings of two views by the encoder and by its slow copy."""
    first, second, slow, slow_second = (normal(ROWS, TIMES, 5, seed=seed + number) for number in range(20, 24))
    return InferredBatch(
        batch=sequences(seed, boundary),
        embedding=first,
        posterior=gaussian_latent(seed + 30),
        prior=gaussian_latent(seed + 40),
        slow_embedding=slow,
        second=SecondView(embedding=second, slow_embedding=slow_second),
    )
