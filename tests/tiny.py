"""Small data that every test can afford: specs, observations, batches, latents."""

from collections.abc import Mapping

import numpy as np
import torch
from dm_env import specs
from torch import Tensor

from framework.data import Batch, Latent, LatentKind, LatentSpec, Specs

PIXELS = specs.BoundedArray((8, 8, 3), np.uint8, 0, 255, name="pixels")
POSITION = specs.Array((3,), np.float32, name="position")
SPEED = specs.Array((), np.float32, name="speed")
VECTORS = {"position": POSITION, "speed": SPEED}
OBSERVATIONS: dict[str, dict[str, specs.Array]] = {
    "pixels": {"pixels": PIXELS},
    "vectors": VECTORS,
    "both": {"pixels": PIXELS, **VECTORS},
}
ACTION = specs.BoundedArray((2,), np.float32, -1.0, 1.0, name="action")
LATENT = LatentSpec(deterministic=6, stochastic=4, kind="gaussian")
ROWS, TIMES = 3, 5


def specs_of(kind: str) -> Specs:
    return Specs(observation=OBSERVATIONS[kind], action=ACTION)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def observe(shown: Mapping[str, specs.Array], *leading: int, seed: int = 0) -> dict[str, Tensor]:
    """Random observations of these specs."""
    generator = seeded(seed)

    def draw(spec: specs.Array) -> Tensor:
        if spec.dtype == np.uint8:
            return torch.randint(0, 256, (*leading, *spec.shape), generator=generator, dtype=torch.uint8)
        return torch.randn((*leading, *spec.shape), generator=generator)

    return {name: draw(spec) for name, spec in shown.items()}


def batch(kind: str = "both", rows: int = ROWS, times: int = TIMES, seed: int = 0) -> Batch:
    """Random sequences; the second row begins a new episode at its third step, which the step before ended."""
    is_first = torch.zeros(rows, times, dtype=torch.bool)
    is_first[:, 0] = True
    is_first[1, 2] = True
    return Batch(
        observation=observe(OBSERVATIONS[kind], rows, times, seed=seed),
        action=normal(rows, times, 2, seed=seed + 1).tanh().masked_fill(is_first[..., None], 0.0),
        reward=normal(rows, times, seed=seed + 2),
        is_first=is_first,
        is_terminal=is_first.roll(-1, dims=1) & ~is_first.roll(-1, dims=1).all(dim=0),
        episode=torch.arange(rows)[:, None] * times + is_first.cumsum(dim=1),
    )


def latent(*leading: int, spec: LatentSpec = LATENT, seed: int = 0) -> Latent:
    """A random belief of either kind."""
    stochastic = normal(*leading, spec.stochastic, seed=seed)
    statistics = {
        "gaussian": {"mean": stochastic + 0.1, "std": torch.ones_like(stochastic)},
        "categorical": {"logits": stochastic},
    }[spec.kind]
    return Latent(
        deterministic=normal(*leading, spec.deterministic, seed=seed + 1),
        stochastic=stochastic,
        statistics=statistics,
    )


def latent_spec(kind: LatentKind) -> LatentSpec:
    return LatentSpec(deterministic=6, stochastic=4, kind=kind)


def requiring_gradient(belief: Latent) -> Latent:
    return belief.map(lambda tensor: tensor.detach().clone().requires_grad_())
