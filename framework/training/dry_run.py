"""The smallest real training, which shows whether the parts of a recipe work together."""

from typing import Final

import numpy as np

from framework.critics.base import examined
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.training.learner import Diverged, Learner
from framework.training.run import Run

SEQUENCES: Final = 2
SHORT: Final = 16
"""Steps of a sequence."""
CAPACITY: Final = 4096
"""Only the steps that are collected take memory."""


def dry_run(run: Run) -> dict[str, float]:
    """Build the environment and the agent, act once, collect random steps, and take one update on a small batch. Writes nothing.

    The batch has two short sequences, or more and longer ones if an objective needs them. Returns the update's metrics. Raises `UserError`
    where parts do not fit, or where a score or a loss is not finite.
    """
    with run.vector(1, mode="serial") as vector:
        device, specs = run.runtime.device, vector.specs
        replay: Replay = run.replay(specs=specs, streams=1, device=device, seed=run.seed, capacity=CAPACITY, storage="memory")
        learner = Learner(agent=run.agent(specs), runtime=run.runtime, vector=vector, replay=replay, seed=run.seed)
        learner.update_agent = learner.agent.update  # uncompiled, so that scores can be examined
        replay.batch, replay.length = _smallest_batch(learner)
        _collect(learner)
        try:
            with examined(learner.agent):
                metrics = learner.update()
            learner.check(metrics)
        except Diverged as error:
            raise UserError(f"The first update gives what is no number: {error}; look at loss scales and learning rates.") from error
    return {name: float(value) for name, value in metrics.items()}


def _collect(learner: Learner) -> None:
    """One action of the policy, and random steps until the replay holds a sequence."""
    learner.begin()
    learner.collect(randomly=False)
    random = np.random.default_rng(learner.seed)
    while len(learner.replay) < learner.replay.length:
        learner.replay.add(learner.vector.step(learner.vector.random_actions(random)))


def _smallest_batch(learner: Learner) -> tuple[int, int]:
    """The fewest and shortest sequences, of a few sizes, that every objective accepts."""
    rows, times = learner.replay.batch, learner.replay.length
    for size in ((min(SEQUENCES, rows), min(SHORT, times)), (min(SEQUENCES, rows), times)):
        try:
            for objective in learner.agent.world_model.each_objective:
                objective.check(rows=size[0], times=size[1], extra=learner.replay.extra)
        except UserError:
            continue
        return size
    return rows, times
