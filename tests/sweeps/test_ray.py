"""The same sweep on a real Ray cluster of two nodes, one worker of which is killed."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import framework
from framework.errors import UserError
from framework.sweeps.record import read_sweep
from tests.sweeps.conftest import HERE
from tests.sweeps.test_local import process_of, training, wait_for

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1, "object_store_memory": 10**8})
    cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module", params=[pytest.param(1, id="small"), pytest.param(8, id="whole", marks=pytest.mark.nightly)])
def folder(request: pytest.FixtureRequest, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep, in which a worker was killed while it trained."""
    folder = tmp_path_factory.mktemp("ray") / "tasks"
    for place in (folder.parent, folder):
        (place / "mlflow.db").mkdir(parents=True)  # in the place of a store: mirrors record, which is quick
    nodes: set[int] = set()

    def kill() -> None:
        wait_for(lambda: bool(training(folder)))
        workers = [psutil.Process(process_of(run)).parent() for run in training(folder)]
        nodes.update(worker.ppid() for worker in workers if worker)
        os.kill(workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    settings = {"grid": {"task": ["cartpole_swingup", "ball_in_cup_catch"]}, "seeds": 2} if request.param == 8 else {}
    ray_settings = {"ray": address, "gpus": 0.25, "name": "tasks", "folder": folder.parent}
    result = framework.sweep([HERE / "small.gin", HERE / "short.gin"], **settings, **ray_settings)
    killer.join()
    assert result.status == "FINISHED"
    assert len(result.table) == max(2, request.param)
    return folder


def test_a_run_whose_worker_was_killed_is_resumed_and_every_cell_finishes(folder: Path) -> None:
    record = read_sweep(folder)
    assert {cell.status for cell in record.cells} == {"finished"}
    assert sum(cell.attempts for cell in record.cells) == 1
    assert sorted(path.parent.name for path in folder.glob("*/run.json")) == sorted(str(cell.folder) for cell in record.cells)


def test_the_same_sweep_again_has_nothing_to_do(folder: Path, address: str) -> None:
    logs = {path: path.stat().st_mtime_ns for path in folder.glob("logs/*")}
    record = read_sweep(folder)
    assert len(logs) == len(record.cells)


def test_a_cluster_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    ray.shutdown()
    with pytest.raises(UserError, match=r"^There is no Ray cluster at '127.0.0.1:1' .*; start one with `ray start --head`\.$"):
        framework.sweep(HERE.parent / "training" / "tiny.gin", ray="127.0.0.1:1", name="a", folder=tmp_path)
