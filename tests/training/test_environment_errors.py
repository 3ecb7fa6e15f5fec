"""Environments that fail, in whole runs: nothing that was learned is lost, and training goes on."""

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import framework
from framework.data import Batch
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.tracking.jsonl import read
from framework.training import checkpoints
from framework.training.result import Result
from framework.training.run import Run

FAULTY, TINY = (Path(__file__).parent / f"{name}.gin" for name in ("faulty", "tiny"))
WIDE = ("Run.environments=2", "Replay.length=4", "Trainer.train_ratio=4.0")
Compose = Callable[..., Run]


@pytest.fixture
def faulty(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    """Composes a run in which an environment fails in a way, with bindings."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def compose(how: str, *bindings: str) -> Run:
        return framework.compose(FAULTY, [f"Tracking.folder='{runs}'", f"Faulty.how='{how}'", "Evaluation.every=1000000", *bindings])

    return compose


def stored(run: Run, result: Result) -> tuple[Batch, int]:
    """The steps in the replay of the latest checkpoint, stream by stream, and the number of streams."""
    assert result.latest is not None
    with run.vector(run.environments, mode="serial") as vector:
        replay: Replay = run.learner(vector, None).replay
    replay.load(result.latest / "replay")
    return replay.windows(torch.arange(len(replay))), replay.streams


def recorded(result: Result, name: str) -> list[float]:
    return [float(line["values"][name]) for line in read(result.folder) if line["kind"] == "metrics" and name in line["values"]]


@pytest.mark.parametrize(
    ("how", "words", "bindings"),
    [
        ("raise", "environment 0 of 1 failed: ZeroDivisionError: the pole is in two places", ()),
        ("hang", "environment 0 of 1 has not answered for 2 s", ("Run.environment_timeout=2.0",)),
        ("nan", "environment 0 of 1 failed: Faulty gives nan in 'count' at [0], which is no finite float32", ()),
        ("nan reward", "environment 0 of 1 failed: Faulty gives nan in 'reward', which is no finite float32", ()),
        ("shape", "Faulty declares 'count' as float32 of shape (1,), and gives float32 of shape (2,) from 4 to 4", ()),
        ("exit", "environment worker 0 of 2 died (exit status 3)", WIDE),
        ("nan", "environment worker 1 of 2 failed: Faulty gives nan in 'count' at [0]", WIDE),
        ("hang", "environment worker 1 of 2 has not answered for 2 s", (*WIDE, "Run.environment_timeout=2.0")),
    ],
)
def test_an_environment_that_fails_is_named_its_episode_ends_there_and_training_goes_on(
    faulty: Compose, caplog: pytest.LogCaptureFixture, how: str, words: str, bindings: tuple[str, ...]
) -> None:
    run = faulty(how, "Trainer.steps=60", "Checkpoints.every=1000", *bindings)
    with caplog.at_level(logging.WARNING):
        result = run.train()
    (error,) = [record.getMessage() for record in caplog.records if "An environment failed" in record.getMessage()]
    assert words in error
    assert error.count("Step 4 of episode 2: ") == result.progress.environment_errors == run.environments
    assert (result.status, recorded(result, "train/environment_errors")[-1]) == ("FINISHED", run.environments)
    assert len(list((result.folder / "checkpoints").glob("step-*"))) == 3, "at the start, after the error, and at the end"
    steps, streams = stored(run, result)
    counts, is_first = steps.observation["count"][:, 0, 0].reshape(streams, -1), steps.is_first[:, 0].reshape(streams, -1)
    for stream in range(streams):
        assert counts[stream, :29].tolist() == [*range(11), *range(11), 0, 1, 2, 3, 0, 1, 2][:29]
        assert torch.equal(is_first[stream], counts[stream] == 0)
    assert not steps.is_terminal.any()
    assert all(value.isfinite().all() for value in (steps.observation["count"], steps.reward))


def test_a_run_whose_environment_failed_resumes_to_the_bit(faulty: Compose) -> None:
    settings = ("Faulty.episodes=(2, 5)", "Trainer.steps=90")
    whole = faulty("raise", *settings).train()
    part = faulty("raise", *settings, "Trainer.steps=40").train()
    resumed = framework.resume(str(part.folder), ["Trainer.steps=90"])
    assert resumed.progress.environment_errors == whole.progress.environment_errors == 2
    one, other = (checkpoints.read(result.latest)[1]["agent"] for result in (whole, resumed) if result.latest)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("most", "step"), [(1, 33), (3, 39)])
def test_errors_in_a_row_stop_the_run_which_keeps_all_that_it_learned_and_goes_on_once_mended(
    faulty: Compose, runs: Path, most: int, step: int
) -> None:
    """Three in a row lose 3 steps each before the last one, and two may lie between the others."""
    settings = ("Faulty.episodes=(0, 3, 4, 5)", f"Run.max_environment_errors={most}")
    name = f"Tracking.name='mended{most}'"
    with pytest.raises(UserError, match=rf"(?s)Step 4 of episode \d: .* That is error {most} in a row: mend the environment") as raised:
        faulty("raise", *settings, name, "Faulty.episodes=(3, 4, 5)", "Trainer.steps=90").train()
    assert "Traceback" in str(raised.value)
    (folder,) = runs.glob(f"mended{most}-*")
    reached, contents = checkpoints.read(checkpoints.find(folder / "checkpoints", "latest"))
    assert (reached, contents["progress"]["environment_errors"]) == (step, most)
    resumed = framework.resume(str(folder), ["Faulty.episodes=()"])
    assert (resumed.status, resumed.progress.step) == ("FINISHED", 90)


@pytest.mark.parametrize("environments", [1, 2])
@pytest.mark.parametrize("after", ["midst", "end"])
def test_an_environment_that_begins_no_second_episode_stops_the_run_at_that_step(
    faulty: Compose, caplog: pytest.LogCaptureFixture, runs: Path, environments: int, after: str
) -> None:
    bindings = ("Run.environment=@environments.Forgetful", f"Forgetful.after='{after}'", f"Run.environments={environments}")
    named = f"Tracking.name='forgetful-{after}-{environments}'"
    with caplog.at_level(logging.WARNING), pytest.raises(UserError) as raised:
        framework.compose(TINY, [f"Tracking.folder='{runs}'", named, *bindings]).train()
    text = str(raised.value).splitlines()[0]
    assert "Step 0 of episode 1: environment " in text
    assert re.search(
        r"failed: Forgetful \(\S*samples\.py:\d+\) must give a dm_env\.TimeStep that begins an episode \(step_type FIRST\)", text
    )
    assert "An environment failed" not in caplog.text
    (folder,) = runs.glob(f"forgetful-{after}-{environments}-*")
    assert checkpoints.read(checkpoints.find(folder / "checkpoints", "latest"))[0] == 10 * environments


def test_an_environment_that_fails_in_an_evaluation_plays_another_episode_and_ends_no_run(faulty: Compose) -> None:
    result = faulty("raise", "Evaluation.environment=@environments.Faulty", "Evaluation.every=50", "Faulty.episodes=(1,)").train()
    assert result.evaluated is not None
    assert (result.evaluated.returns, result.evaluated.lengths) == ([55.0, 55.0], [10, 10])
    assert result.progress.environment_errors == 1 + 2


def test_an_episode_that_never_ends_is_cut_in_evaluations_and_that_is_logged(faulty: Compose, caplog: pytest.LogCaptureFixture) -> None:
    run = faulty("endless", "Evaluation.every=50", "Evaluation.max_steps=7", "Evaluation.episodes=5", "Evaluation.environments=2")
    result = run.train()
    assert result.evaluated is not None
    assert (result.evaluated.returns, result.evaluated.lengths) == ([28.0] * 5, [7] * 5)
    assert "5 of the evaluation's episodes did not end within Evaluation.max_steps = 7" in caplog.text


def test_the_minutes_end_an_evaluation_that_would_take_longer(faulty: Compose, caplog: pytest.LogCaptureFixture) -> None:
    bindings = ("Evaluation.every=40", "Evaluation.max_steps=100000000", "Trainer.steps=1000000", "Trainer.minutes=0.05")
    started = time.monotonic()
    result = faulty("endless", *bindings).train()
    assert time.monotonic() - started < 20
    assert (result.status, result.evaluated) == ("FINISHED", None)
    assert "was not over with Trainer.minutes, and is left out" in caplog.text
