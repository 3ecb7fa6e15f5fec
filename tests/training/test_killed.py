"""A run that is killed with SIGKILL, at any moment, loses nothing: its checkpoints, its mirror, its settings."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import framework
from framework.errors import UserError
from framework.training.checkpoints import Checkpoints
from framework.training.learner import Learner
from framework.training.result import Result
from framework.training.run import Run
from tests.programs import in_a_child
from tests.training.agents import differing, saved

FILES = ("resolved.gin", "operative.gin", "overrides.txt")


def points(folder: Path) -> list[tuple[int, str, float | str]]:
    """Every number of a mirror but the times: step, name, value."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows = [(line["step"], name, value) for line in lines if line["kind"] == "metrics" for name, value in line["values"].items()]
    return sorted(row for row in rows if not row[1].startswith("time/"))


def texts(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in FILES]


def die(*arguments: object, **settings: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(kind: type, method: str, work: Callable[[], object], *, step: int = 0) -> bool:
    """Whether a child that does the work dies where a method is called, from an environment step on."""
    original = getattr(kind, method)

    def watch(self: Learner, *arguments: object, **settings: object) -> object:
        return die() if not step or self.progress.step >= step else original(self, *arguments, **settings)

    def work_and_die() -> None:
        setattr(kind, method, watch)
        work()

    return in_a_child(work_and_die) == -signal.SIGKILL


def killed_at_file(moment: int, work: Callable[[], object]) -> bool:
    """Whether a child that does the work dies before it has changed its files that many times."""

    def work_and_die() -> None:
        changes: list[str] = []

        def hook(event: str, _: object) -> None:
            if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate"):
                changes.append(event)
                if len(changes) > moment:
                    die()

        sys.addaudithook(hook)
        work()

    return in_a_child(work_and_die) == -signal.SIGKILL


def test_a_run_that_went_back_and_was_killed_before_its_next_checkpoint_stands_where_it_stood(whole: Result, copy: Path) -> None:
    expected, checkpoints = points(copy), sorted(path.name for path in (copy / "checkpoints").iterdir())
    for _ in range(2):
        assert killed_at(Learner, "receive", lambda: framework.resume(str(copy), ["Trainer.train_ratio=12.0"], checkpoint="80"), step=95)
        assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == checkpoints
        assert texts(copy) == texts(whole.folder)
    result = framework.resume(str(copy))
    assert result.progress.step == 100
    assert points(copy) == expected
    assert len(expected) > 100
    assert not list(copy.glob("metrics.jsonl.*"))


@pytest.mark.parametrize(("stop", "written"), [(80, set()), (81, {"step-00000082"})])
def test_a_run_that_went_back_and_was_interrupted_keeps_its_later_checkpoints(copy: Path, stop: int, written: set[str]) -> None:
    """The first step after 80 is a reset."""
    before = {path.name for path in (copy / "checkpoints").iterdir()}

    def stop_soon() -> None:
        original = Learner.receive

        def receive(self: Learner) -> object:
            if self.progress.step == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self)

        Learner.receive = receive  # type: ignore[assignment, method-assign]
        assert framework.resume(str(copy), checkpoint="80").status == "KILLED"

    assert in_a_child(stop_soon) == 0
    assert {path.name for path in (copy / "checkpoints").iterdir()} == before | written
    assert framework.resume(str(copy), checkpoint="100").progress.step == 100


def test_a_run_that_is_killed_at_any_change_of_its_files_ends_as_one_that_was_not(whole: Result, copy: Path) -> None:
    killed, moment = True, 0
    while killed:
        killed = killed_at_file(moment, lambda: framework.resume(str(copy), checkpoint="80"))
        again = framework.resume(str(copy))
        assert differing(saved(whole.latest), saved(again.latest)) == []
        assert points(copy) == points(whole.folder)
        moment += 5
    assert moment >= 40


def test_a_run_that_is_killed_before_its_first_update_is_resumed(tiny: Callable[..., Run], whole: Result) -> None:
    run = tiny("Tracking.name='early'")
    assert killed_at(Learner, "receive", run.train, step=2)
    (folder,) = Path(run.tracking.folder).glob("early-*")
    again = framework.resume(str(folder))
    assert differing(saved(whole.latest), saved(again.latest)) == []
    assert points(folder) == points(whole.folder)


@pytest.mark.parametrize(("every", "step"), [(50, 55), (45, 47)])
def test_the_first_line_after_a_resume_is_that_of_a_run_that_never_stopped(tiny: Callable[..., Run], every: int, step: int) -> None:
    """The updates at step 40 are logged at 60, or at 50 without another one since the checkpoint."""
    bindings = [f"Checkpoints.every={every}", f"Run.log_every={110 - every}", "Trainer.train_every=20", "Evaluation.every=100"]
    one, other = tiny(f"Tracking.name='first{every}'", *bindings).train(), tiny(f"Tracking.name='second{every}'", *bindings)
    assert killed_at(Learner, "receive", other.train, step=step)
    (folder,) = Path(other.tracking.folder).glob(f"second{every}-*")
    framework.resume(str(folder))
    assert points(folder) == points(one.folder)
    names = {name for _, name, _ in points(folder)}
    assert {"train/model_loss", "train/return", "contrastive/estimate"} <= names


def test_a_damaged_file_of_any_kind_is_named_and_the_run_goes_on_from_the_checkpoint_before(
    whole: Result, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints, last = Checkpoints(every=40, folder=copy / "checkpoints"), copy / "checkpoints" / "step-00000100"
    kinds = [file for file in last.rglob("*") if file.is_file()]
    for file in kinds:
        intact = file.read_bytes()
        file.write_bytes(intact[:-40] + bytes([intact[-40] ^ 1]) + intact[-39:])
        caplog.clear()
        assert checkpoints.load()[0] == 80
        assert f"step-00000100 is damaged ({file.relative_to(last)}); load another" in caplog.text
        if file != kinds[-1]:
            file.write_bytes(intact)
    assert {file.stem for file in kinds} > {
        "agent",
        "optimizers",
        "environments",
        "progress",
        "batch",
        "logger",
        "settings",
        "policy",
        "index",
    }
    assert differing(saved(whole.latest), saved(framework.resume(str(copy)).latest)) == []
    assert points(copy) == points(whole.folder)


@pytest.mark.parametrize("step", [45, 85])
def test_a_file_of_steps_that_is_damaged_while_a_run_trains_costs_it_nothing(
    tiny: Callable[..., Run], whole: Result, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: int
) -> None:
    """The damage is found by the checkpoint of the evaluation at step 50, or by the last one."""
    run, receive = tiny(f"Tracking.name='damaged{step}'"), Learner.receive

    def damage(self: Learner) -> object:
        if self.progress.step == step:
            (run_folder,) = Path(run.tracking.folder).glob(f"damaged{step}-*")
            (file, *_) = sorted(run_folder.glob("checkpoints/step-*/replay/steps-000000000000-*.pt"), reverse=True)
            intact = file.read_bytes()
            file.write_bytes(intact[:-40] + bytes([intact[-40] ^ 1]) + intact[-39:])
        return receive(self)

    monkeypatch.setattr(Learner, "receive", damage)
    result = run.train()
    assert caplog.text.count("is damaged; the replay is written again") == 1
    assert result.status == "FINISHED"
    assert differing(saved(whole.latest), saved(result.latest)) == []
    assert Checkpoints(every=40, folder=result.folder / "checkpoints").load()[0] == 100
    assert result.best is not None


def test_a_binding_of_a_resume_is_kept_where_it_was_killed(whole: Result, copy: Path) -> None:
    assert killed_at(Learner, "receive", lambda: framework.resume(str(copy), ["Trainer.steps=140"]), step=100)
    assert framework.resume(str(copy)).progress.step == 140
    resolved, _, overrides = texts(copy)
    changed = {*resolved.splitlines()} ^ {*texts(whole.folder)[0].splitlines()}
    assert sorted(line.partition(" ")[0] for line in changed) == ["Tracking.folder"] * 2 + ["Trainer.steps"] * 2, "all else has its place"
    assert overrides.splitlines()[1:] == ["Trainer.steps=140  # from a resume"]


def test_a_binding_that_is_refused_is_not_kept(whole: Result, copy: Path) -> None:
    for binding in ("DynamicsBackprop.units=16", "Replay.capacity=400", "Trainer.stepz=3"):
        with pytest.raises(UserError):
            framework.resume(str(copy), [binding])
    assert texts(copy) == texts(whole.folder)
    assert Checkpoints(every=1, folder=copy / "checkpoints").load()[0] == 100
