"""The schedule depends on counters alone, and never on how long anything takes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import framework
from framework.data import Batch
from framework.errors import UserError
from framework.tracking.jsonl import Jsonl
from framework.training import checkpoints
from framework.training.checkpoints import REPLAY, Checkpoints
from framework.training.interrupt import Interrupt
from framework.training.learner import Learner, Progress
from framework.training.run import Run
from framework.training.run_logger import RunLogger
from framework.vector_environments.worker_environments import Mode
from tests.environments.samples import Reticent
from tests.training.agents import differing, saved

TINY, FRAGILE, UNEVEN = (Path(__file__).parent / f"{name}.gin" for name in ("tiny", "fragile", "uneven"))
WIDE = ["Run.environments=2", "Trainer.pretrain=3", "Run.log_every=20"]
"""Two environments in episodes of 10 steps, and an update every second step of both."""
EVEN = ["Trainer.train_every=1", "Trainer.train_ratio=12.0"]
OVERLAPPED = [*WIDE, *EVEN, "Trainer.schedule='overlapped'"]
BURSTS = [*WIDE, "Trainer.schedule='overlapped'"]


@dataclass
class Trained:
    """The result of a training: every parameter, every stored step, each logged mean of losses, whether updates met a step in flight."""

    agent: dict[str, torch.Tensor]
    stored: Batch
    losses: list[dict[str, float]]
    updates: int
    in_flight: set[bool]


def logger_of(run: Run, learner: Learner, folder: Path) -> RunLogger:
    """A run's logger that writes into a folder alone."""
    folder.mkdir(exist_ok=True)
    return run.run_logger(learner, Jsonl(run_folder=folder), Checkpoints(every=40, folder=folder / "checkpoints"))


def watched(learner: Learner, interrupt: Interrupt, last: int) -> list[bool]:
    """Whether a step was in flight, for each update; the last one interrupts."""
    in_flight: list[bool] = []
    update = learner.update_agent

    def watch(*arguments: Any) -> Any:
        in_flight.append(learner.vector.in_flight)
        interrupt.requested = len(in_flight) == last
        return update(*arguments)

    learner.update_agent = watch
    return in_flight


def trained(run: Run, mode: Mode, folder: Path) -> Trained:
    with run.vector(run.environments, mode=mode) as vector:
        learner, interrupt = run.learner(vector, None), Interrupt()
        run_logger, in_flight = logger_of(run, learner, folder), watched(learner, interrupt, 10**9)
        run.trainer.run(learner=learner, run_logger=run_logger, interrupt=interrupt)
        run_logger.write(learner)
        run_logger.checkpoints.wait()
        return came_to(learner, folder, in_flight)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An overlapped run to its end, in this process."""
    return trained(framework.compose(TINY, OVERLAPPED), "serial", tmp_path_factory.mktemp("whole"))


def came_to(learner: Learner, folder: Path, in_flight: Sequence[bool] = ()) -> Trained:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [line["values"] for line in lines if line["kind"] == "metrics"]
    return Trained(
        agent=learner.agent.state_dict(),
        stored=learner.replay.windows(torch.arange(len(learner.replay))),
        losses=[{name: value for name, value in each.items() if not name.startswith("time/")} for each in values],
        updates=learner.progress.updates,
        in_flight=set(in_flight),
    )


def assert_same(one: Trained, other: Trained) -> None:
    assert one.updates == other.updates >= 20
    for name in ("action", "reward", "is_first", "is_terminal", "episode"):
        assert torch.equal(getattr(one.stored, name), getattr(other.stored, name)), name
    assert differing(one.stored.observation, other.stored.observation) == []
    assert len(one.losses) == len(other.losses) >= 4
    assert one.losses == other.losses
    assert differing(one.agent, other.agent) == []


def written_out(run: Run, folder: Path) -> Trained:
    """The overlapped schedule without halves of a step: act, update, step, store."""
    with run.vector(run.environments, mode="serial") as vector:
        learner, trainer = run.learner(vector, None), run.trainer
        run_logger, actor, progress = logger_of(run, learner, folder), learner.actor, learner.progress
        steps = vector.reset()
        learner.steps = steps
        learner.replay.add(steps)
        while True:
            if progress.step < trainer.prefill:
                action = vector.random_actions(learner.random)
                actor.observe(steps.observation, steps.is_first, action)
            else:
                action = actor.act(steps.observation, steps.is_first)
            for _ in range(trainer.due(learner)):
                run_logger.updates.append(learner.update())
            if progress.step >= trainer.steps:
                run_logger.write(learner)
                run_logger.checkpoints.wait()
                return came_to(learner, folder)
            run_logger.mark(learner)
            steps = vector.step(action)
            learner.replay.add(steps)
            ended = learner._count(steps)
            run_logger.episodes += ended
            progress.step += int((~steps.is_first).sum())
            progress.episodes += len(ended)


def test_an_overlapped_run_in_workers_acts_then_updates_then_steps_whatever_their_speed_and_the_ends_of_episodes(tmp_path: Path) -> None:
    one, other = framework.compose(UNEVEN, BURSTS), framework.compose(UNEVEN, BURSTS)
    overlapped = trained(one, "process", tmp_path / "trained")
    assert_same(overlapped, written_out(other, tmp_path / "written"))
    first, second = overlapped.stored.is_first[:, 0].reshape(2, -1)
    assert min(first.sum(), second.sum()) >= 5
    assert not torch.equal(first, second)
    assert overlapped.stored.is_terminal.any()


def test_the_schedules_make_as_many_updates_with_a_step_in_flight_or_none_and_learn_something_else(whole: Trained, tmp_path: Path) -> None:
    other = trained(framework.compose(TINY, [*WIDE, *EVEN]), "serial", tmp_path)
    assert whole.updates == other.updates == 3 + 12 * (100 - 30) // (4 * 6)
    assert (whole.in_flight, other.in_flight) == ({True}, {False})
    assert torch.equal(whole.stored.reward, other.stored.reward)
    assert not torch.equal(whole.stored.action, other.stored.action)
    assert differing(whole.agent, other.agent)


@pytest.mark.parametrize("mode", ["serial", pytest.param("process", marks=pytest.mark.nightly)])
def test_a_run_that_was_interrupted_in_flight_ends_as_one_that_was_not(whole: Trained, tmp_path: Path, mode: Mode) -> None:
    run, kept = framework.compose(TINY, OVERLAPPED), Checkpoints(every=40, folder=tmp_path / "checkpoints")
    with run.vector(2, mode=mode) as vector:
        learner, interrupt = run.learner(vector, None), Interrupt()
        run_logger = logger_of(run, learner, tmp_path)
        watched(learner, interrupt, 20)
        run.trainer.run(learner=learner, run_logger=run_logger, interrupt=interrupt)
        run_logger.finish(learner, evaluate=False)
        assert vector.in_flight
        assert learner.progress.step < 100
    with run.vector(2, mode="serial") as vector:
        learner = run.learner(vector, None)
        run_logger = logger_of(run, learner, tmp_path / "rest")
        _, contents = kept.load()
        learner.replay.load(kept.source / REPLAY)
        learner.load_state_dict(contents)
        assert vector.in_flight
        run.trainer.run(learner=learner, run_logger=run_logger, interrupt=Interrupt())
        run_logger.checkpoints.wait()
    assert learner.progress.updates == whole.updates
    assert differing(learner.agent.state_dict(), whole.agent) == []


@pytest.mark.parametrize(
    ("binding", "updates"),
    [
        ("Trainer.train_ratio=6.0", 15),
        ("Trainer.train_ratio=0.6", 2),
        ("Trainer.train_ratio=120.0", 300),
        ("Trainer.train_every=40", 10),
        ("Trainer.prefill=90", 13),
        ("Trainer.prefill=10", 15),
        ("Trainer.pretrain=50", 15),
        ("Replay.batch=2", 31),
        ("Replay.length=12", 7),
    ],
)
def test_the_updates_due_after_a_resume_are_those_of_the_steps_since(binding: str, updates: int) -> None:
    """Of 60 steps at 6 / 24, and of the half of an update that was owed at step 80."""
    run = framework.compose(TINY, [binding])
    with run.vector(1, mode="serial") as vector:
        learner = run.learner(vector, None)
        learner.begin()
        for _ in range(20):
            learner.collect(randomly=True)
        learner.progress = Progress(step=80, counted=80, owed=12.0, pretrained=True, updates=12)
        assert run.trainer.due(learner) == 12 // (learner.replay.batch * learner.replay.length)
        learner.progress.step = 140
        assert run.trainer.due(learner) == run.trainer.due(learner) == updates


def test_a_run_ends_after_its_updates_and_goes_on_after_more_as_one_that_never_stopped(runs: Path) -> None:
    bindings = [f"Tracking.folder='{runs}'", *WIDE, *EVEN, "Evaluation.every=1000", "Checkpoints.every=1000"]
    whole = framework.compose(TINY, [*bindings, "Trainer.updates=12"]).train()
    part = framework.compose(TINY, [*bindings, "Trainer.updates=5"]).train()
    assert (part.status, part.progress.updates) == ("FINISHED", 5)
    assert 30 <= part.progress.step < whole.progress.step < 100
    again = framework.resume(str(part.folder), ["Trainer.updates=12"])
    assert (again.progress.updates, again.progress.step) == (12, whole.progress.step)
    assert differing(saved(again.latest), saved(whole.latest)) == []


def test_the_updates_of_the_pretraining_count(runs: Path) -> None:
    result = framework.compose(TINY, [f"Tracking.folder='{runs}'", *WIDE, "Trainer.updates=3"]).train()
    assert (result.progress.updates, result.progress.step) == (3, 30)


def test_where_a_resume_begins_a_new_episode_the_replay_has_its_first_step(tmp_path: Path) -> None:
    run, kept = framework.compose(TINY, [f"Run.environment=@environments.{Reticent.__name__}"]), Checkpoints(every=1, folder=tmp_path)
    with run.vector(1, mode="serial") as vector:
        learner = run.learner(vector, None)
        learner.begin()
        for _ in range(4):
            learner.collect(randomly=True)
        learner.send(randomly=True)
        kept.save(4, learner.state_dict(), learner.replay.snapshot)
        kept.wait()
    with run.vector(1, mode="serial") as vector:
        again = run.learner(vector, None)
        again.replay.load(kept.source / REPLAY)
        with pytest.warns(UserWarning, match="without `seek`"):
            again.load_state_dict(kept.load()[1])
        finished = [episode for _ in range(10) for episode in again.collect(randomly=True)]
    stored = again.replay.windows(torch.arange(len(again.replay)))
    assert stored.is_first[0].tolist() == [True, False, False, False, False, True]
    assert again.replay.steps == 5 + 11
    assert [(episode.value, episode.length) for episode in finished] == [(55.0, 10)]


def test_a_run_whose_worker_dies_in_flight_ends_after_a_resume_as_one_in_which_it_lived(runs: Path, tmp_path: Path) -> None:
    """And a lone environment lives in a worker: in this process it would take the test with it."""
    fuse = tmp_path / "fuse"
    lone = ["Run.environments=1", *EVEN, "Trainer.schedule='overlapped'", "Evaluation.every=1000", "Checkpoints.every=1000"]
    bindings = [f"Tracking.folder='{runs}'", *lone, f"Fragile.fuse='{fuse}'", "Run.max_environment_errors=1"]
    whole = trained(framework.compose(TINY, lone), "serial", tmp_path / "whole")
    part = framework.compose(FRAGILE, [*bindings, "Trainer.steps=60"]).train()
    fuse.touch()
    with pytest.raises(UserError, match=r"environment worker 0 of 1 died \(exit status 3\)"):
        framework.resume(str(part.folder), ["Trainer.steps=100"])
    left, contents = checkpoints.read(checkpoints.find(part.folder / "checkpoints", "latest"))
    (environment,) = contents["environments"]
    assert 60 <= left < 75
    assert contents["progress"]["updates"] == (left - 30) // 2
    assert environment["sent"].shape == (2,)
    again = framework.resume(str(part.folder), ["Trainer.steps=100"])
    assert again.progress.updates == whole.updates == 35
    assert differing(saved(again.latest), whole.agent) == []
