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
"""Steps of a sequence, unless an objective needs more."""
CAPACITY: Final = 4096
"""Only the steps that are collected take memory."""


def dry_run(run: Run) -> dict[str, float]:
    """Build the environment and the agent, act once, collect random steps, and take one update on two sequences. Writes nothing.

    Sequences are short; if a part refuses that, they are as long as the run's own. Returns the update's metrics. Raises `UserError` where
    parts do not fit, or where a score or a loss is not finite.
    """
    try:
        return _update(run, SHORT)
    except UserError:
        return _update(run, CAPACITY)


def _update(run: Run, longest: int) -> dict[str, float]:
    with run.vector(1, mode="serial") as vector:
        replay: Replay = run.replay(
            specs=vector.specs,
            streams=1,
            device=run.runtime.device,
            seed=run.seed,
            batch=SEQUENCES,
            capacity=CAPACITY,
            storage="memory",
        )
        replay.length = min(longest, replay.length)
        learner = Learner(agent=run.agent(vector.specs), runtime=run.runtime, vector=vector, replay=replay, seed=run.seed)
        learner.update_agent = learner.agent.update  # uncompiled, so that scores can be examined
        learner.begin()
        learner.collect(randomly=False)
        random = np.random.default_rng(run.seed)
        while len(replay) < replay.length:
            replay.add(vector.step(vector.random_actions(random)))
        try:
            with examined(learner.agent):
                metrics = learner.update()
            learner.check(metrics)
        except Diverged as error:
            raise UserError(f"The first update gives what is no number: {error}; look at loss scales and learning rates.") from error
    return {name: float(value) for name, value in metrics.items()}
