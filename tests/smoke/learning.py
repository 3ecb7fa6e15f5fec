"""Training of a small recipe in a world of closed form."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

import framework
from framework.environments.base import Environment
from framework.environments.distractors import Distractors
from framework.training.learner import Learner
from framework.training.run import Run
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.smoke.tasks import Task
from tests.smoke.worlds import SIDE, Player, Reach

EPISODES = 20


@dataclass(frozen=True)
class Learned:
    """The mean return of the evaluation, and the processor seconds of training and evaluation."""

    mean_return: float
    seconds: float
    updates: int


def margin(world: Mapping[str, Any]) -> float:
    """The return to exceed, fixed in advance: the middle between random and optimal actions."""
    return (returns("random", **world) + returns("perfect", **world)) / 2


@cache
def returns(player: Player, episodes: int = 150, **world: Any) -> float:
    """The mean return of a player that does not learn."""
    environment, random, total = Reach(seed=7, **world), np.random.default_rng(0), 0.0
    for _ in range(episodes):
        step = environment.reset()
        while not step.last():
            step = environment.step(environment.played(player, random))
            total += step.reward
    return total / episodes


def learn(task: Task, *bindings: str) -> Learned:
    """Train as `Trainer.run` does, without tracking, and evaluate as a run does."""
    run = composed(task, *bindings)
    environment, started = environment_of(run, task), time.process_time()
    with WorkerEnvironments(environment=environment, count=run.environments, seed=run.seed, mode="serial") as vector:
        learner = run.learner(vector, None)
        train(run, learner)
    evaluated = run.evaluation.run(agent=learner.agent, runtime=run.runtime, environment=environment, seed=run.seed, episodes=EPISODES)
    return Learned(mean_return=evaluated.mean, seconds=time.process_time() - started, updates=learner.progress.updates)


def composed(task: Task, *bindings: str) -> Run:
    """The recipe, whose own environment gets the image size of the world that replaces it."""
    return framework.compose(task.recipe, [*task.bindings, *bindings, f"DMControl.size={SIDE}"])


def environment_of(run: Run, task: Task) -> Callable[..., Environment]:
    """The world in place of the recipe's environment, inside the recipe's distractors where it has them."""
    world = partial(Reach, **task.world)
    distracted = isinstance(run.environment, partial) and run.environment.func is Distractors
    return partial(run.environment, of=world) if distracted else world


def train(run: Run, learner: Learner) -> None:
    length, vector = learner.replay.length, learner.vector
    run.trainer.check(length=length, environments=vector.count, action_repeat=vector.action_repeat)
    learner.begin()
    while True:
        while run.trainer.due(learner):
            learner.update()
        if run.trainer.over(learner):
            return
        learner.collect(randomly=learner.progress.step < run.trainer.prefill)
