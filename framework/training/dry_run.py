"""The smallest training, which shows whether the parts of a recipe work together."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

import numpy as np
import torch
from dm_env import specs
from torch import Tensor

from framework.agent import Agent
from framework.critics.base import examined
from framework.data import Batch, ExtraSteps, Metrics, Specs
from framework.errors import UserError
from framework.optimizers.base import TorchOptimizer
from framework.replay.replay import Replay
from framework.training.checks import META
from framework.training.compiled_steps import patched
from framework.training.learner import ACTING, LEARNING, not_finite
from framework.training.run import Run
from framework.vector_environments.base import random_actions

SEQUENCES: Final = 2
SHORT: Final = (8, 16)
"""Steps of a sequence, if every objective accepts them; else as many as in the recipe."""
HORIZON: Final = 3
"""Steps of a rollout."""


def dry_run(run: Run) -> dict[str, float]:
    """Build the agent, act once, and take one update on a small batch of random numbers. Nothing is simulated, rendered or written.

    The batch has two short sequences, or more and longer ones if an objective needs them. torch's own optimizers, whose first step
    imports its compiler, take none. Returns the update's metrics. Raises `UserError` where parts do not fit, or where a score or a loss
    is not finite.
    """
    shown, runtime = run.specs(), run.runtime
    agent = run.agent(shown)
    agent.horizon = min(agent.horizon, HORIZON)
    replay: Replay = run.replay(specs=shown, streams=run.environments, device=META, seed=0, storage="device")
    rows, times = _smallest_batch(agent, replay)
    batch = _random_batch(shown, rows, times, replay.extra).to(runtime.device)
    first = {name: value[:, 0] for name, value in batch.observation.items()}
    with ExitStack() as stack:
        stack.enter_context(runtime.autocast())
        stack.enter_context(examined(agent))
        for optimizer in agent.optimizers.values():
            if isinstance(optimizer, TorchOptimizer):
                stack.enter_context(patched(optimizer, "step", _norm))
        agent.act(agent.initial(rows), first, batch.is_first[:, 0], "explore", runtime.generator(run.seed, ACTING))
        metrics = agent.update(batch, agent.draw_noise(batch, runtime.generator(run.seed, LEARNING)))
    if wrong := not_finite(metrics):
        raise UserError(f"The first update gives what is no number: {', '.join(wrong)}; look at loss scales and learning rates.")
    return {name: float(value) for name, value in metrics.items()}


def _norm(gradients: list[Tensor]) -> Metrics:
    return {"gradient_norm": torch.nn.utils.get_total_norm(gradients)}


def _smallest_batch(agent: Agent, replay: Replay) -> tuple[int, int]:
    """The fewest and shortest sequences, of a few sizes, that every objective accepts."""
    rows = min(SEQUENCES, replay.batch)
    for times in (*(min(short, replay.length) for short in SHORT), replay.length):
        try:
            for objective in agent.world_model.each_objective:
                objective.check(rows=rows, times=times, extra=replay.extra)
        except UserError:
            continue
        return rows, times
    return replay.batch, replay.length


def _random_batch(shown: Specs, rows: int, times: int, extra: int) -> Batch:
    """Sequences of different episodes that have just begun, and single steps of others."""
    random = np.random.default_rng(0)
    is_first = torch.zeros(rows, times, dtype=torch.bool)
    is_first[:, 0] = True
    action = torch.from_numpy(random_actions(shown.model_action, rows * times, random)).unflatten(0, (rows, times))
    return Batch(
        observation=_random_observation(shown.observation, random, rows, times),
        action=action.masked_fill(is_first[..., None], 0.0),
        reward=torch.from_numpy(random.standard_normal((rows, times), np.float32)),
        is_first=is_first,
        is_terminal=torch.zeros_like(is_first),
        episode=torch.arange(rows)[:, None].repeat(1, times),
        extra=ExtraSteps(observation=_random_observation(shown.observation, random, extra), episode=rows + torch.arange(extra))
        if extra
        else None,
    )


def _random_observation(shown: Mapping[str, specs.Array], random: np.random.Generator, *leading: int) -> dict[str, Tensor]:
    def draw(spec: specs.Array) -> np.ndarray:
        shape = (*leading, *spec.shape)
        return random.integers(0, 256, shape, np.uint8) if spec.dtype == np.uint8 else random.standard_normal(shape, np.float32)

    return {name: torch.from_numpy(draw(spec)) for name, spec in shown.items()}
