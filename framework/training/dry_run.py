"""The smallest training, which shows whether the parts of a recipe work together."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from framework.actor_critics.cem_planner import CEMPlanner
from framework.actor_critics.mppi_planner import MPPIPlanner
from framework.agent import Agent
from framework.data import Metrics
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.text import PACKAGE
from framework.training.compiled_steps import patched
from framework.training.contract import contract
from framework.training.learner import ACTING, LEARNING, not_finite
from framework.vector_environments.base import random_steps

if TYPE_CHECKING:
    from framework.training.run import Run

SEQUENCES: Final = 2
SHORT: Final = (8, 16)
"""Steps of a sequence, if every objective accepts them; else as many as in the recipe."""
HORIZON: Final = 3
"""Steps of a rollout."""
CAPACITY: Final = 4096
"""Only the steps that are added take memory."""


def dry_run(run: "Run") -> dict[str, float]:
    """Build the agent, act once, and take one update on a small batch of random numbers. Nothing is simulated, rendered or written.

    The batch has two short sequences, or more and longer ones if an objective needs them; planners iterate once. The optimizers of this
    package take no step: the first one of torch's own imports the compiler, and that of a large model takes long. Returns the update's
    metrics. Raises `UserError` where parts do not fit or break their contract, or where a score or a loss is not finite.
    """
    shown, runtime = run.specs(), run.runtime
    agent = run.agent(shown)
    agent.horizon = min(agent.horizon, HORIZON)
    for module in agent.modules():
        if isinstance(module, CEMPlanner | MPPIPlanner):
            module.iterations = 1
    replay: Replay = run.replay(specs=shown, streams=SEQUENCES, device=runtime.device, seed=run.seed, capacity=CAPACITY, storage="memory")
    replay.batch, replay.length = _smallest_batch(agent, replay)
    random = np.random.default_rng(run.seed)
    for number in range(replay.length):
        replay.add(random_steps(shown, SEQUENCES, number, random))
    batch = replay.sample()
    first = {name: value[:1, 0] for name, value in batch.observation.items()}
    with ExitStack() as stack:
        stack.enter_context(runtime.autocast())
        stack.enter_context(contract(agent, (replay.batch, replay.length)))
        for optimizer in agent.optimizers.values():
            if type(optimizer).step.__module__.startswith(f"{PACKAGE.name}."):
                stack.enter_context(patched(optimizer, "step", _norm))
        agent.act(agent.initial(1), first, batch.is_first[:1, 0], "explore", runtime.generator(run.seed, ACTING))
        metrics = agent.update(batch, agent.draw_noise(batch, runtime.generator(run.seed, LEARNING)))
    if wrong := not_finite(metrics):
        raise UserError(f"The first update gives what is no number: {', '.join(wrong)}; look at loss scales.")
    return {name: float(value) for name, value in metrics.items()}


def _norm(gradients: list[Tensor]) -> Metrics:
    return {"gradient_norm": torch.nn.utils.get_total_norm(gradients)}


def _smallest_batch(agent: Agent, replay: Replay) -> tuple[int, int]:
    """The fewest and shortest sequences, of a few sizes, that every objective accepts."""
    rows = min(SEQUENCES, replay.batch)
    for times in (*(min(short, replay.length) for short in SHORT), replay.length):
        try:
            for objective in agent.world_model.each_objective:
                objective.check(rows=rows, times=times, extra=replay.extra_candidates)
        except UserError:
            continue
        return rows, times
    return replay.batch, replay.length
