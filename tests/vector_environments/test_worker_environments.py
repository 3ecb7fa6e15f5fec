import os
import signal
import sys
import time
from functools import partial

import numpy as np
import pytest

from framework.environments.counting import Counting
from framework.errors import UserError
from framework.testing.checks import assert_same_vector_steps
from framework.vector_environments import workers
from framework.vector_environments.worker_environments import WorkerEnvironments
from tests.environments.samples import Misbehaving, Plain, Sickly, Switches, Unseekable

CHOICES = partial(Switches, length=7)


def serial(environment, count=1, seed=0):
    return WorkerEnvironments(environment=environment, count=count, seed=seed, mode="serial")


def actions(vector, index):
    """Random actions that name the step they belong to."""
    return vector.random_actions(np.random.default_rng(index))


def processes(vector):
    return [worker._process.pid for worker in vector._workers]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_worker_processes_and_serial_environments_show_the_same_and_restored_ones_continue_to_the_bit():
    processes = WorkerEnvironments(environment=CHOICES, count=2, seed=1)
    with processes, serial(CHOICES, count=2, seed=1) as same, serial(CHOICES, count=2, seed=1) as restored:
        assert_same_vector_steps(processes.reset(), same.reset())
        for index in range(18):
            steps = processes.step(actions(processes, index))
            assert_same_vector_steps(steps, same.step(actions(same, index)))
            if index in (6, 7, 17):
                assert_same_vector_steps(steps, restored.restore(processes.snapshot()))
                assert_same_vector_steps(processes.restore(same.snapshot()), steps)
        assert processes.snapshot()[0].episode == 2
        processes.send(actions(processes, 18))
        assert_same_vector_steps(restored.restore(processes.snapshot()), steps)
        assert restored.in_flight
        assert_same_vector_steps(restored.receive(), processes.receive())
        for index in range(19, 28):
            assert_same_vector_steps(restored.step(actions(restored, index)), processes.step(actions(processes, index)))


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone")
def test_workers_share_cores_evenly_or_leave_them_to_the_system(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 2})
    assert [workers.cores(count) for count in (1, 2, 3, 4)] == [[None], [2, 4], [None] * 3, [2, 4, 2, 4]]


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone")
def test_workers_stay_on_their_core_step_while_their_parent_works_and_survive_ctrl_c_until_they_are_closed(monkeypatch):
    core = min(os.sched_getaffinity(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: {core})
        vector = WorkerEnvironments(environment=Counting, count=1, seed=0)
    with vector:
        vector.reset()
        (worker,) = processes(vector)
        assert (os.sched_getaffinity(worker), os.sched_getscheduler(worker)) == ({core}, os.SCHED_BATCH)
        os.kill(worker, signal.SIGINT)
        vector.send(np.zeros((1, 2)))
        assert vector._workers[0]._connection.poll(30)
        assert vector.in_flight
        assert (vector.receive().observation["count"] == 1).all()
    vector.close()
    assert not is_alive(worker)


def test_actions_arrive_as_the_environment_has_them_and_are_stored_as_the_agent_gave_them():
    with serial(Plain, count=2) as vector:
        vector.reset()
        steps = vector.step(np.array([[1, -1], [0, 3]]))
    np.testing.assert_array_equal(steps.observation["observation"], [[10, -1], [5, 3]])
    np.testing.assert_array_equal(steps.action, [[1, -1], [0, 3]])


def test_a_killed_worker_is_an_error_at_once():
    with WorkerEnvironments(environment=Counting, count=2, seed=0) as vector:
        vector.reset()
        started = processes(vector)
        os.kill(started[1], signal.SIGKILL)
        start = time.monotonic()
        with pytest.raises(UserError, match=r"environment worker 1 of 2 died \(SIGKILL"):
            vector.step(actions(vector, 0))
        assert time.monotonic() - start < 2
    assert not any(is_alive(process) for process in started)
    np.testing.assert_array_equal([each.sent for each in vector.snapshot()], actions(vector, 0))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise", ["worker 0 of 1 failed: ZeroDivisionError: the pole is in two places", "Traceback", "samples.py"]),
        ("exit", ["worker 0 of 1 died (exit status 3); its stderr ends with:\nthe driver gave up"]),
        ("hang", ["worker 0 of 1 has not answered for 0.5 s"]),
        ("unmade", ["worker 0 of 1 failed: ValueError: cannot be made"]),
    ],
)
def test_a_misbehaving_worker_is_an_error_and_ends(how, words, monkeypatch):
    monkeypatch.setattr(workers, "SHUTDOWN_SECONDS", 0.5)
    started = []

    def play():
        with WorkerEnvironments(environment=partial(Misbehaving, how=how), count=1, seed=0, timeout=0.5) as vector:
            started.extend(processes(vector))
            vector.reset()
            vector.step(np.zeros((1, 2)))

    with pytest.raises(UserError) as raised:
        play()
    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert not any(is_alive(process) for process in started)


@pytest.mark.parametrize("mode", ["serial", "process"])
def test_the_environment_that_failed_is_replaced_and_the_others_keep_their_steps(mode):
    """Environment 0 fails at the second step of its second episode; the other is there too, and goes on."""
    with WorkerEnvironments(environment=Sickly, count=2, seed=0, mode=mode) as vector:
        rows = [vector.reset()]
        while not vector.failed:
            vector.send(np.zeros((2, 2)))
            try:
                rows.append(vector.receive())
            except UserError as error:
                message = str(error)
        assert vector.failed == [0]
        assert message.startswith("Step 2 of episode 1: environment ")
        assert "0 of 2 failed: ValueError: unwell" in message
        row = vector.recover()
    np.testing.assert_array_equal(row.is_first, [True, False])
    np.testing.assert_array_equal(row.episode, rows[-1].episode + np.array([1, 0]))
    np.testing.assert_array_equal(row.observation["count"].ravel(), [0, rows[-1].observation["count"][1, 0] + 1])


def test_a_fresh_environment_that_cannot_seek_shows_other_episodes_than_the_one_that_failed():
    with WorkerEnvironments(environment=Unseekable, count=1, seed=0, mode="serial") as vector:
        first = vector.reset().observation["observation"]
        with pytest.raises(UserError, match="Step 1 of episode 0"):
            vector.step(np.zeros((1, 2)))
        assert not np.array_equal(vector.recover().observation["observation"], first)


def test_an_environment_that_a_worker_cannot_import_is_named(monkeypatch):
    with pytest.raises(UserError, match="cannot be sent to a worker process"):
        WorkerEnvironments(environment=lambda seed: Counting(seed=seed), count=1, seed=0)
    script = type("Maze", (Plain,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Maze", script, raising=False)
    with pytest.raises(UserError, match=r"<class '__main__.Maze'> is defined in the script that runs, .* move the class to a module"):
        WorkerEnvironments(environment=script, count=1, seed=0)
