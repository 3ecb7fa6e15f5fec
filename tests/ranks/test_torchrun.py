"""Whole runs under torchrun: two ranks train one agent, stop together, and go on as if they had not stopped."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import framework
from framework import files
from framework.errors import UserError

HERE = Path(__file__).parent
RENDEZVOUS = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *RENDEZVOUS)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with no database in the place of its store: mirrors record the runs, which is quick.

    What a training imports late is imported here, once for all forked ranks.
    """
    for module in ("framework.tracking.mlflow", "torch._dynamo", "torch.distributed"):
        import_module(module)
    folder = tmp_path_factory.mktemp("runs")
    (folder / "mlflow.db").mkdir()
    return folder


def torchrun(*arguments: str, runs: Path) -> subprocess.CompletedProcess[str]:
    """A command of two ranks, with what they print."""
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    command = [*TORCHRUN, "-m", "framework", *arguments]
    return subprocess.run(command, cwd=runs, env=environment, capture_output=True, text=True, timeout=600, check=False)


def train(name: str, *bindings: str, runs: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A training of two ranks, and its folder."""
    bound = [text for binding in (f"Tracking.folder='{runs}'", *bindings) for text in ("-b", binding)]
    finished = torchrun("train", str(HERE / "failing.gin"), "--name", name, *bound, runs=runs)
    return finished, next(runs.glob(f"{name}-*"))


def flat(content: Any, name: str = "") -> dict[str, Tensor]:
    """The tensors and the numbers in nested contents, by their paths."""
    if isinstance(content, Mapping | list | tuple):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        return {key: value for each, part in items for key, value in flat(part, f"{name}.{each}").items()}
    return {} if content is None or isinstance(content, str) else {name: torch.as_tensor(content)}


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


STEADY = ("Checkpoints.every=1000", "Evaluation.every=1000")
"""Neither is due within a run, so that its only checkpoints are those of its beginning and of its end."""
AGAIN = ("Failing.at=0", "Checkpoints.every=40", "Evaluation.every=50")
"""A resume without a failure, and with the evaluations and checkpoints of a run that was not stopped."""


def assert_same_end(folder: Path, expected: Path) -> None:
    """Whether the last checkpoints of both runs are equal to the bit, in all that each rank owns."""
    ends = [each / "checkpoints" / "step-00000100" for each in (folder, expected)]
    for part, names in (("", ("agent", "optimizers", "actor", "environments", "batch")), ("rank-1", ("actor", "environments", "batch"))):
        for name in names:
            one, other = (flat(files.load(end / part / f"{name}.pt")) for end in ends)
            assert one.keys() == other.keys()
            assert [key for key, value in one.items() if not torch.equal(value, other[key])] == [], f"{part}/{name}"


def together(work: Callable[[], object]) -> list[int | None]:
    """The exit codes of two forked ranks that do the same work, in the environment that torchrun gives."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])

    def rank(number: int) -> None:
        place = {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        os.environ.update(place)
        work()

    processes = [multiprocessing.get_context("fork").Process(target=rank, args=(number,)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    return [process.exitcode for process in processes]


def folder_of(name: str, runs: Path, *bindings: str) -> Path:
    """The folder of a run that two forked ranks train."""
    bound = [f"Tracking.folder='{runs}'", f"Tracking.name='{name}'", *bindings]
    assert together(lambda: framework.compose(HERE / "failing.gin", bound).train()) == [0, 0]
    return next(runs.glob(f"{name}-*"))


@pytest.fixture(scope="module")
def expected(runs: Path) -> Path:
    """The folder of a run that was not stopped."""
    return folder_of("whole", runs)


def test_ranks_stop_after_the_same_update_and_resume_exactly(runs: Path, expected: Path) -> None:
    folder = folder_of("stopped", runs, "Failing.at=4", *STEADY)
    assert_stopped_after_the_fourth_update(folder)
    with pytest.raises(UserError, match=r"written by 2 ranks.*there are 1; .*: torchrun --nproc-per-node 2 -m framework"):
        framework.resume(str(folder), folder=runs)
    assert together(lambda: framework.resume(str(folder), AGAIN, folder=runs)) == [0, 0]
    assert_same_end(folder, expected)


def assert_stopped_after_the_fourth_update(folder: Path) -> None:
    """Both ranks, with one checkpoint."""
    first, latest = checkpoints(folder)
    progress = [files.load(folder / "checkpoints" / latest / part / "progress.pt") for part in ("", "rank-1")]
    assert [each["updates"] for each in progress] == [4, 4]
    assert 0 < progress[0]["step"] == progress[1]["step"] < 100
    assert first == "step-00000000"


def test_a_killed_rank_ends_the_other_and_the_run_resumes_exactly(runs: Path, expected: Path) -> None:
    bound = [f"Tracking.folder='{runs}'", "Tracking.name='killed'", "Failing.at=4", "Failing.how='SIGKILL'"]
    started = time.monotonic()
    assert together(lambda: framework.compose(HERE / "failing.gin", bound).train()) == [1, -signal.SIGKILL]
    assert time.monotonic() - started < 60
    (folder,) = runs.glob("killed-*")
    assert together(lambda: framework.resume(str(folder), ["Failing.at=0"], folder=runs)) == [0, 0]
    assert_same_end(folder, expected)


def test_each_rank_has_steps_of_its_own_and_their_metrics_are_recorded_once(expected: Path) -> None:
    first, second = (flat(files.load(expected / "checkpoints" / "step-00000100" / part / "batch.pt")) for part in ("", "rank-1"))
    assert not torch.equal(first[".action"], second[".action"])
    assert not {*first[".episode"].flatten().tolist()} & {*second[".episode"].flatten().tolist()}
    lines = [json.loads(line) for line in (expected / "metrics.jsonl").read_text().splitlines()]
    logged = {line["step"]: line["values"] for line in lines if line["kind"] == "metrics" and "train/replay_steps" in line["values"]}
    assert [*logged] == [20, 40, 60, 80, 100]
    assert logged[100]["train/replay_steps"] > 100  # the first steps of episodes, which no action led to, are stored too
    policy = framework.load_policy(expected)
    assert policy.act({name: np.zeros(spec.shape, spec.dtype) for name, spec in policy.agent.specs.observation.items()}).shape


@pytest.mark.nightly
def test_torchrun_trains_and_tells_of_it_once(runs: Path) -> None:
    trained, folder = train("told", runs=runs)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("The policy's evaluation return") == 1
    assert "torchrun --nproc-per-node 2 -m framework resume" in trained.stdout
    assert checkpoints(folder)[-1] == "step-00000100"


@pytest.mark.nightly
@pytest.mark.parametrize(("how", "words"), [("error", "RuntimeError: the second rank fails"), ("SIGKILL", "Signal 9 (SIGKILL)")])
def test_a_rank_that_fails_ends_the_job_within_30_seconds_and_says_why_and_the_job_resumes_exactly(
    how: str, words: str, runs: Path, expected: Path
) -> None:
    failed, folder = train(f"failed-{how}", "Failing.at=4", f"Failing.how='{how}'", runs=runs)
    ended = time.time()
    assert failed.returncode != 0
    assert words in failed.stderr
    assert ("failing.py" in failed.stderr) == (how == "error")
    assert ended - float(failed.stdout.partition("failing at ")[2].split()[0]) < 30
    resumed = torchrun("resume", folder.name, "--folder", str(runs), "-b", "Failing.at=0", runs=runs)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_end(folder, expected)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_torchrun_writes_one_checkpoint_and_the_job_resumes_exactly(name: str, runs: Path, expected: Path) -> None:
    stopped, folder = train(f"signal-{name}", "Failing.at=4", f"Failing.how='{name} of torchrun'", *STEADY, runs=runs)
    assert stopped.returncode != 0
    assert_stopped_after_the_fourth_update(folder)
    resumed = torchrun("resume", folder.name, "--folder", str(runs), *(text for each in AGAIN for text in ("-b", each)), runs=runs)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_end(folder, expected)
