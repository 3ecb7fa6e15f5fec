"""A rehearsal: the smallest real training, which shows whether the parts of a recipe fit each other."""

from typing import Final

from framework.critics.base import examined
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.training.learner import Diverged, Learner
from framework.training.run import Run

BATCH: Final = 2
ROOM: Final = 4096
"""Steps that the replay could hold; only those that are collected take memory."""


def dry_run(run: Run) -> dict[str, float]:
    """Build the environment and the agent, collect some random steps, and take one update on two sequences. Writes nothing.

    Returns the update's metrics. Raises `UserError` where parts do not fit, or a score or a loss is no number.
    """
    with run.vector(1, mode="serial") as vector:
        small = {"batch": BATCH, "capacity": ROOM, "storage": "memory"}
        replay: Replay = run.replay(specs=vector.specs, streams=1, device=run.runtime.device, seed=run.seed, **small)
        learner = Learner(agent=run.agent(vector.specs), runtime=run.runtime, vector=vector, replay=replay, seed=run.seed)
        learner.update_agent = learner.agent.update  # uncompiled, so that scores can be looked at
        learner.begin()
        while len(learner.replay) < BATCH * learner.replay.length:
            learner.collect(randomly=True)
        try:
            with examined(learner.agent):
                metrics = learner.update()
            learner.check(metrics)
        except Diverged as error:
            raise UserError(f"The first update gives what is no number: {error}; look at loss scales and learning rates.") from error
    return {name: float(value) for name, value in metrics.items()}
