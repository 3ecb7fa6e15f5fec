"""Small random data for the tests of components: specs, observations, batches, latents, contrasts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from dm_env import specs
from einops import rearrange
from torch import Tensor

from framework.actor_critics.base import ActorCritic, Mode
from framework.agent import Agent
from framework.contrastive.contrast import Contrast, Source
from framework.contrastive.origin import Origin
from framework.critics.base import Critic, UnitCritic
from framework.data import Batch, ExtraCandidates, Imagination, InferredBatch, Latent, Metrics, SecondView
from framework.dynamics.gaussian_rssm import GaussianRSSM
from framework.functional.random import new_key
from framework.specs import ActionKind, ActionSpec, LatentKind, LatentSpec, ModelSpecs, Specs

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
ACTIONS: dict[ActionKind, ActionSpec] = {
    "continuous": ActionSpec(kind="continuous", sizes=(2,)),
    "discrete": ActionSpec(kind="discrete", sizes=(3,)),
    "multi_discrete": ActionSpec(kind="multi_discrete", sizes=(2, 3)),
}
LATENT = LatentSpec(deterministic=6, stochastic=4, kind="gaussian")
ROWS, TIMES = 3, 5
DYNAMICS = GaussianRSSM(embedding_size=5, action_size=2, deterministic=6, stochastic=4)


def specs_of(kind: str) -> Specs:
    return Specs(observation=OBSERVATIONS[kind], action=ACTION)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def key_of(number: int) -> Tensor:
    """A key for strategies and objectives."""
    return new_key(seeded(number))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def observe(arrays: Mapping[str, specs.Array], *leading: int, seed: int = 0) -> dict[str, Tensor]:
    """Random observations of these specs."""
    generator = seeded(seed)

    def draw(spec: specs.Array) -> Tensor:
        if spec.dtype == np.uint8:
            return torch.randint(0, 256, (*leading, *spec.shape), generator=generator, dtype=torch.uint8)
        return torch.randn((*leading, *spec.shape), generator=generator)

    return {name: draw(spec) for name, spec in arrays.items()}


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
    """A random latent of either kind, one-hot in each group if categorical."""
    drawn = normal(*leading, spec.stochastic, seed=seed)
    deterministic = normal(*leading, spec.deterministic, seed=seed + 1)
    if spec.kind == "gaussian":
        return Latent(deterministic=deterministic, stochastic=drawn, statistics={"mean": drawn + 0.1, "std": torch.ones_like(drawn)})
    groups = rearrange(drawn, "... (s k) -> ... s k", k=spec.classes)
    chosen = torch.nn.functional.one_hot(groups.argmax(dim=-1), spec.classes or -1).float()
    return Latent(deterministic=deterministic, stochastic=rearrange(chosen, "... s k -> ... (s k)"), statistics={"logits": drawn})


def inferred(posterior: Latent, prior: Latent, embedding: Tensor, data: Batch) -> InferredBatch:
    """A batch as the world model passes it to an objective, with a slow copy's embeddings, extra candidates and a second view."""
    return InferredBatch(
        batch=data,
        embedding=embedding,
        posterior=posterior,
        prior=prior,
        slow_embedding=embedding + 0.1,
        extra=ExtraCandidates(embedding=normal(7, embedding.shape[-1], seed=11), episode=torch.arange(7) + 1000),
        second=SecondView(embedding=embedding + 0.2 * normal(*embedding.shape, seed=12), slow_embedding=embedding + 0.3),
    )


def example(spec: LatentSpec = LATENT, rows: int = ROWS, times: int = TIMES, kind: str = "both") -> InferredBatch:
    """Random latents and embeddings; the second row begins a new episode at its third step."""
    posterior, prior = latent(rows, times, spec=spec), latent(rows, times, spec=spec, seed=5)
    return inferred(posterior, prior, normal(rows, times, 5, seed=3), batch(kind, rows, times))


def objective_sizes(spec: LatentSpec = LATENT, kind: str = "both") -> dict[str, Any]:
    """The derived argument of an objective."""
    return {"model": ModelSpecs(spec, 5, OBSERVATIONS[kind], ACTIONS["continuous"])}


def origin(rows: int, times: int) -> Origin:
    """Each row one episode."""
    return Origin.of(torch.arange(rows)[:, None].expand(rows, times))


def contrast(scores: Tensor, steps: Origin, critic: Critic | None = None, seed: int = 0) -> Contrast:
    """A batch against itself; with a critic, its scores of random latents and embeddings, and sources of added candidates."""
    if critic is None:
        return Contrast.of(scores, steps)
    size = steps.row.shape[0]
    latents, embeddings = latent(size, seed=seed), normal(size, 5, seed=seed + 2)
    source = Source(
        latents=latents,
        embeddings=embeddings,
        score=critic,
        score_pairs=critic.score_pairs,
        units=critic.units if isinstance(critic, UnitCritic) else None,
        extra=ExtraCandidates(embedding=normal(7, 5, seed=seed + 3), episode=torch.arange(7) + 1000),
        action=normal(size, 2, seed=seed + 4),
        is_first=torch.zeros(size, dtype=torch.bool),
        reward=normal(size, seed=seed + 6),
        predict=lambda action, steps: latents.map(
            lambda part: part[steps.row * steps.times + steps.time] + action.sum(dim=-1, keepdim=True)
        ),
    )
    return Contrast.of(critic(latents, embeddings), steps, source)


def latent_spec(kind: LatentKind) -> LatentSpec:
    return LatentSpec(deterministic=6, stochastic=4, kind=kind, classes={"gaussian": None, "categorical": 2}[kind])


def requiring_gradient(value: Latent) -> Latent:
    return value.map(lambda tensor: tensor.detach().clone().requires_grad_())


def behavior_sizes(spec: LatentSpec, kind: ActionKind = "continuous") -> dict[str, Any]:
    """The derived argument of a behavior."""
    return {"model": ModelSpecs(spec, 5, OBSERVATIONS["both"], ACTIONS[kind])}


def actions(kind: ActionKind, *leading: int, seed: int = 0) -> Tensor:
    """Random actions of a kind."""
    sizes = ACTIONS[kind].sizes
    if kind == "continuous":
        return normal(*leading, *sizes, seed=seed).tanh()
    drawn = normal(*leading, sum(sizes), seed=seed).split(sizes, dim=-1)
    return torch.cat([torch.nn.functional.one_hot(each.argmax(dim=-1), each.shape[-1]).float() for each in drawn], dim=-1)


def replayed(spec: LatentSpec = LATENT, kind: ActionKind = "continuous", seed: int = 0, rows: int = ROWS) -> InferredBatch:
    """A random batch with random latents."""
    data = batch(rows=rows, seed=seed)
    action = actions(kind, rows, TIMES, seed=seed + 13).masked_fill(data.is_first[..., None], 0.0)
    posterior = latent(rows, TIMES, spec=spec, seed=seed + 10)
    return InferredBatch(
        batch=replace(data, action=action), embedding=normal(rows, TIMES, 5, seed=seed + 12), posterior=posterior, prior=posterior
    )


def replayed_noise(kind: ActionKind = "continuous") -> Tensor:
    """The noise of one action at each step of `replayed`."""
    return normal(ROWS, TIMES, ACTIONS[kind].size, seed=14)


def update(agent: Agent, data: Batch, generator: torch.Generator) -> Metrics:
    """One update with noise from the generator."""
    return agent.update(data, agent.draw_noise(data, generator))


def acted(behavior: ActorCritic, features: Tensor, mode: Mode, generator: torch.Generator) -> Tensor:
    """The actions of a policy, which does not imagine, at features without deterministic part."""
    empty = features.new_zeros(features.shape[0], 0)
    start = Latent(deterministic=empty, stochastic=features, statistics={})

    def imagine(*arguments: object) -> Imagination:
        raise AssertionError("a policy imagined")

    return behavior.act(start, behavior.initial(features.shape[0]), imagine, mode, generator)[0]
