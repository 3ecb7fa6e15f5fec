"""Copies from torch to float64 numpy, small sequences, and parameters that are nowhere at their special initial values."""

from typing import Any

import numpy as np
import torch
from dm_env import specs
from torch import Tensor, nn

from framework.data import Batch, InferredBatch, Latent, SecondView, Specs

ROWS, TIMES = 3, 5
VECTOR = {"vector": specs.Array((3,), np.float32, name="vector")}
CONTINUOUS = specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="action")
DISCRETE = specs.DiscreteArray(3, name="action")
BOUNDARIES = ("one episode", "a time limit inside", "a terminal step inside", "a terminal step at the end")
"""Where the episodes of the second sequence end."""
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def linears(module: nn.Module) -> list[tuple[np.ndarray, np.ndarray]]:
    """The pair `(W, b)` of each linear layer, in their order."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [(array(layer.weight), 0.0 if layer.bias is None else array(layer.bias)) for layer in layers]


def norm_scales(module: nn.Module) -> list[np.ndarray]:
    """The scale of each root-mean-square norm, in their order."""
    return [array(layer.weight) for layer in module.modules() if isinstance(layer, nn.RMSNorm)]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


@torch.no_grad()
def perturb(module: nn.Module, seed: int, amount: float = 0.2) -> None:
    """Move every parameter, so that zeros, ones and equal copies are told from what belongs there."""
    noise = generator(seed)
    for parameter in module.parameters():
        parameter.add_(amount * torch.randn(parameter.shape, generator=noise))


@torch.no_grad()
def two_hot_around(last: nn.Linear, center: float) -> None:
    """Let the logits over symexp bins fall off on both sides, so that their mean lies near `symexp(center)`."""
    last.bias.copy_(-(torch.linspace(-20, 20, last.out_features) - center).square())


def sequences(seed: int, boundary: str, action: specs.Array = CONTINUOUS) -> Batch:
    """A random batch; every sequence but the second is the middle of one episode, or its start."""
    is_first, is_terminal = torch.zeros(ROWS, TIMES, dtype=torch.bool), torch.zeros(ROWS, TIMES, dtype=torch.bool)
    is_first[0, 0] = True
    is_first[1, 2] = boundary in ("a time limit inside", "a terminal step inside")
    is_terminal[1, 1] = boundary == "a terminal step inside"
    is_terminal[1, -1] = boundary == "a terminal step at the end"
    drawn = normal(seed, ROWS, TIMES, 3)
    options = nn.functional.one_hot(drawn.argmax(dim=-1), 3).float()
    actions = options if isinstance(action, specs.DiscreteArray) else drawn[..., :2].tanh()
    return Batch(
        observation={"vector": normal(seed + 1, ROWS, TIMES, 3)},
        action=actions.masked_fill(is_first[..., None], 0.0),
        reward=normal(seed + 2, ROWS, TIMES),
        is_first=is_first,
        is_terminal=is_terminal,
        episode=10 * torch.arange(ROWS)[:, None] + is_first.cumsum(dim=1),
    )


def specs_of(action: specs.Array) -> Specs:
    return Specs(observation=VECTOR, action=action)


def gaussian_latent(seed: int, *leading: int, deterministic: int = 6, stochastic: int = 4) -> Latent:
    mean, std = normal(seed, *leading, stochastic), 0.3 + normal(seed + 1, *leading, stochastic).square()
    sample = mean + std * normal(seed + 2, *leading, stochastic)
    return Latent(deterministic=normal(seed + 3, *leading, deterministic), stochastic=sample, statistics={"mean": mean, "std": std})


def categorical_latents(seed: int, groups: int, classes: int) -> tuple[Latent, Latent]:
    """A posterior and a prior over `[B, T]` that differ, as leaves of the gradient."""

    def latent(number: int) -> Latent:
        logits = normal(number, ROWS, TIMES, groups, classes).log_softmax(dim=-1).flatten(-2)
        return Latent(deterministic=logits[..., :1], stochastic=logits, statistics={"logits": logits.requires_grad_()})

    return latent(seed), latent(seed + 1)


def inferred_batch(seed: int, boundary: str = "one episode") -> InferredBatch:
    """A batch with Gaussian latents, and embeddings of two views by the encoder and by its slow copy."""
    first, second, slow, slow_second = (normal(seed + number, ROWS, TIMES, 5) for number in range(20, 24))
    return InferredBatch(
        batch=sequences(seed, boundary),
        embedding=first,
        posterior=gaussian_latent(seed + 30, ROWS, TIMES),
        prior=gaussian_latent(seed + 40, ROWS, TIMES),
        slow_embedding=slow,
        second=SecondView(embedding=second, slow_embedding=slow_second),
    )


def assert_equal(actual: Tensor, expected: Any) -> None:
    np.testing.assert_allclose(array(actual), expected, **TOLERANCE)
