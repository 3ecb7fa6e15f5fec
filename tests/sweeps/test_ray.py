"""The same sweep on a real Ray cluster of two nodes, one worker of which is killed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import framework
from framework.errors import UserError
from framework.sweeps.record import read_sweep
from framework.sweeps.result import SweepResult
from tests.sweeps.conftest import HERE
from tests.sweeps.test_local import process_of, training, wait_for

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.timeout(2000)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1, "object_store_memory": 10**8})
    cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


@dataclass
class Swept:
    """A finished sweep, in which a worker was killed while it trained, and what sweeps the same again."""

    folder: Path
    result: SweepResult
    again: Callable[[], SweepResult]


@pytest.fixture(scope="module", params=[pytest.param(1, id="smallest"), pytest.param(2, id="whole", marks=pytest.mark.nightly)])
def swept(request: pytest.FixtureRequest, address: str, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """One cell, or two recipes with two tasks and two seeds."""
    folder = tmp_path_factory.mktemp("ray") / "tasks"
    for place in (folder.parent, folder):
        (place / "mlflow.db").mkdir(parents=True)  # in the place of a store: mirrors record, which is quick

    def kill() -> None:
        wait_for(lambda: bool(training(folder)))
        workers = [psutil.Process(process_of(run)).parent() for run in training(folder)]
        os.kill(workers[0].pid, signal.SIGKILL)

    def sweep() -> SweepResult:
        tasks = ["cartpole_swingup", "ball_in_cup_catch"][: request.param]
        return framework.sweep(
            [HERE / "small.gin", HERE / "short.gin"][: request.param],
            seeds=request.param,
            grid={"task": tasks},
            name="tasks",
            folder=folder.parent,
            ray=address,
            gpus=0.25,
        )

    killer = threading.Thread(target=kill)
    killer.start()
    result = sweep()
    killer.join()
    return Swept(folder, result, sweep)


def test_a_run_whose_worker_was_killed_is_resumed_and_every_cell_finishes(swept: Swept) -> None:
    cells = read_sweep(swept.folder).cells
    assert (swept.result.status, len(cells) in (1, 8)) == ("FINISHED", True)
    assert [cell.status for cell in cells] == ["finished"] * len(cells) == list(swept.result.table["status"])
    assert sum(cell.attempts for cell in cells) == 1
    assert sorted(path.parent.name for path in swept.folder.glob("*/run.json")) == sorted(str(cell.folder) for cell in cells)


def test_the_same_sweep_again_has_nothing_to_do(swept: Swept) -> None:
    logs = {path: path.stat().st_mtime_ns for path in swept.folder.glob("logs/*.log")}
    assert len(logs) == len(swept.result.table)
    assert swept.again().status == "FINISHED"
    assert logs == {path: path.stat().st_mtime_ns for path in swept.folder.glob("logs/*.log")}


def test_a_cluster_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    ray.shutdown()
    with pytest.raises(UserError, match=r"^There is no Ray cluster at '127.0.0.1:1' .*; start one with `ray start --head`\.$"):
        framework.sweep(HERE.parent / "training" / "tiny.gin", ray="127.0.0.1:1", name="a", folder=tmp_path)
