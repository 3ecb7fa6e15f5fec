"""What a schedule does to learning, in a small world: `PYTHONPATH=. python docs/results/speed/schedules.py ARM FIRST LAST [BINDING ..]`.

The task `dreamer_v1_infonce` of `tests/smoke`, once for each seed from FIRST to LAST, by the run's own `Trainer`, with environments in this
process, which changes no number. One line of JSON for each. A binding changes one thing of an arm, as `Trainer.pretrain=0`; with
`Evaluation.every=40` the returns on the way are printed too, and with `Trainer.steps=1400` it goes on for longer.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from framework.tracking.jsonl import Jsonl, read
from framework.training.checkpoints import Checkpoints
from framework.training.interrupt import Interrupt
from framework.training.policy import PolicyRecipe
from framework.training.run import Run
from framework.training.run_logger import RunLogger
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.smoke.learning import EPISODES, composed, environment_of, margin
from tests.smoke.tasks import TASKS

TASK = TASKS["dreamer_v1_infonce"]
ARMS = {
    "alternating": [],
    "alternating, even": ["Trainer.train_every=1"],
    "overlapped": ["Trainer.schedule='overlapped'"],
    "overlapped, even": ["Trainer.schedule='overlapped'", "Trainer.train_every=1"],
}
"""In bursts of 4 updates every 16 steps, as the task has it, or one update at each step of the 4 environments."""


QUIET = ["Evaluation.every=1000000", f"Evaluation.episodes={EPISODES}", "Run.log_every=1000000"]


def logger_of(run: Run, vector: WorkerEnvironments, folder: Path) -> RunLogger:
    """The run's own, in the world in the place of the recipe's environment."""
    return RunLogger(
        tracker=Jsonl(run_folder=folder),
        evaluation=run.evaluation,
        checkpoints=Checkpoints(every=1_000_000, folder=folder / "checkpoints"),
        environment=environment_of(run, TASK),
        policy=PolicyRecipe.of(run.composed, vector.specs, run.seed),
        settings=run.composed.parameters(),
        log_every=run.log_every,
        seconds_left=run.trainer.seconds_left,
    )


def curve(folder: Path) -> list[tuple[int, float]]:
    """The step and the mean return of each evaluation on the way."""
    lines = [each for each in read(folder) if each["kind"] == "metrics" and "eval/return" in each["values"]]
    return [(each["step"], round(each["values"]["eval/return"], 2)) for each in lines]


def trained(arm: str, seed: int, bindings: list[str]) -> dict[str, Any]:
    started = time.process_time()
    run = composed(TASK, *QUIET, *ARMS[arm], *bindings, f"Run.seed={seed}", "Runtime.threads=1")
    world, wanted = environment_of(run, TASK), float(margin(TASK.world))
    with (
        tempfile.TemporaryDirectory() as folder,
        WorkerEnvironments(environment=world, count=run.environments, seed=run.seed, mode="serial") as vector,
    ):
        learner, run_logger = run.learner(vector, None), logger_of(run, vector, Path(folder))
        run.runtime.prepare_process(learner.agent)
        length, vector = learner.replay.length, learner.vector
        run.trainer.check(length=length, environments=vector.count, action_repeat=vector.action_repeat)
        run.trainer.run(learner=learner, run_logger=run_logger, interrupt=Interrupt())
        run_logger.checkpoints.wait()
        on_the_way = curve(Path(folder))
    evaluated = run.evaluation.run(agent=learner.agent, runtime=run.runtime, environment=world, seed=run.seed)
    return {
        "arm": arm,
        "bindings": bindings,
        "seed": seed,
        "return": round(evaluated.mean, 2),
        "threshold": round(wanted, 2),
        "learned": evaluated.mean > wanted,
        "updates": learner.progress.updates,
        "steps": learner.progress.step,
        "replayed_steps": learner.replay.steps,
        "in_flight_at_the_end": vector.in_flight,
        "on_the_way": on_the_way,
        "seconds": round(time.process_time() - started, 1),
    }


def main() -> None:
    arm, first, last, *bindings = sys.argv[1:]
    for seed in range(int(first), int(last) + 1):
        print(json.dumps(trained(arm, seed, bindings)), flush=True)


if __name__ == "__main__":
    main()
