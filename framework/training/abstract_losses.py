"""The losses of one update on tensors without numbers: an error of shapes or settings shows before any number is computed."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from dm_env import specs

from framework.agent import Agent
from framework.contrastive.contrast import Contrast
from framework.contrastive.metrics import check_some_have_negatives
from framework.contrastive.origin import Origin
from framework.data import Batch, ExtraCandidates, ExtraSteps, Imagination, InferredBatch, Latent, Observation, SecondView, Specs, is_image
from framework.functional.random import new_key
from framework.negatives.base import Negatives

ANCHORS = 64
"""Anchors for which a strategy is evaluated, against all candidates of a batch."""


def losses(agent: Agent, *, rows: int, times: int, extra: int) -> Iterator[Callable[[], None]]:
    """The losses of each objective and of the behavior, for batches of `[rows, times]`; the agent is on the device of the context.

    Latents are not inferred, and rollouts are not imagined: only their shapes matter.
    """
    inferred = _inferred(agent, rows, times, extra)
    key = torch.empty((), dtype=torch.int64)
    for objective in agent.world_model.each_objective:
        yield partial(_evaluate, partial(objective, inferred, agent.world_model.dynamics, key))
    noise = torch.empty(rows, times, agent.specs.action_size)
    yield partial(_evaluate, lambda: agent.behavior.losses(_imagination(agent, rows * times), inferred, noise))


def selections(agent: Agent, *, rows: int, times: int) -> Iterator[Callable[[], None]]:
    """For each strategy that only selects or weighs: whether it leaves negatives to batches of `[rows, times]`."""
    for objective in agent.world_model.each_objective:
        for negatives in objective.children():
            if isinstance(negatives, Negatives) and not any(each.adds_candidates for each in negatives.each()):
                yield partial(_select, type(objective).__name__, negatives, rows, times)


@torch.no_grad()
def _evaluate(loss: Callable[[], object]) -> None:
    try:
        loss()
    except RuntimeError:
        # A component that reads numbers back has none to read here; the update of `dream check --deep` evaluates it.
        return


@torch.no_grad()
def _select(owner: str, negatives: Negatives, rows: int, times: int) -> None:
    origin = Origin.of(torch.arange(rows)[:, None].expand(rows, times))
    contrast = Contrast.of(torch.zeros(min(ANCHORS, rows * times), rows * times), origin)
    check_some_have_negatives(owner, negatives, negatives(contrast, new_key(torch.Generator().manual_seed(0))))


def _inferred(agent: Agent, rows: int, times: int, extra: int) -> InferredBatch:
    model = agent.world_model
    batch = _batch(agent.specs, rows, times, extra)
    size = model.encoder.embedding_size
    embedding = torch.empty(rows, times, size)
    slow = None if model.slow_encoder is None else torch.empty(rows, times, size)
    latent: Latent = model.dynamics.initial(rows * times).map(lambda tensor: tensor.unflatten(0, (rows, times)))
    return InferredBatch(
        batch=batch,
        embedding=embedding,
        posterior=latent,
        prior=latent,
        slow_embedding=slow,
        extra=ExtraCandidates(embedding=torch.empty(extra, size), episode=torch.empty(extra, dtype=torch.int64)) if extra else None,
        second=SecondView(embedding=embedding, slow_embedding=slow) if model.has_second_view else None,
    )


def _batch(shapes: Specs, rows: int, times: int, extra: int) -> Batch:
    return Batch(
        observation=_observation(shapes, rows, times),
        action=torch.empty(rows, times, shapes.action_size),
        reward=torch.empty(rows, times),
        is_first=torch.empty(rows, times, dtype=torch.bool),
        is_terminal=torch.empty(rows, times, dtype=torch.bool),
        episode=torch.empty(rows, times, dtype=torch.int64),
        extra=ExtraSteps(_observation(shapes, extra), torch.empty(extra, dtype=torch.int64)) if extra else None,
    )


def _observation(shapes: Specs, *leading: int) -> Observation:
    def empty(spec: specs.Array) -> torch.Tensor:
        return torch.empty(*leading, *spec.shape, dtype=torch.uint8 if is_image(spec) else torch.float32)

    return {name: empty(spec) for name, spec in shapes.observation.items()}


def _imagination(agent: Agent, steps: int) -> Imagination:
    size = min(agent.imagination_starts or steps, steps)
    horizon = agent.horizon if agent.behavior.imagines else 0
    return Imagination(
        action=torch.empty(size, horizon, agent.specs.action_size),
        features=torch.empty(size, horizon + 1, agent.world_model.dynamics.latent.feature_size),
        reward=torch.empty(size, horizon + 1),
        continuation=torch.empty(size, horizon + 1),
    )
