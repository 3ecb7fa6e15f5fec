import os
import signal
import sys
import time
from functools import partial

import numpy as np
import pytest

from framework.environments.counting import Counting
from framework.errors import UserError
from framework.vector_environments import workers
from framework.vector_environments.worker_environments import WorkerEnvironments
from framework.vector_environments.workers import ProcessWorker, cores
from tests.environments.samples import Discrete, Misbehaving, Plain, Switches
from tests.vector_environments.steps import assert_same

CHOICES = partial(Switches, length=7)


def serial(environment, count=1, seed=0):
    return WorkerEnvironments(environment=environment, count=count, seed=seed, mode="serial")


def actions(vector, index):
    """Random actions that name the step they belong to."""
    return vector.random_actions(np.random.default_rng(index))


def processes(vector):
    return [worker.process_id for worker in vector._workers if isinstance(worker, ProcessWorker)]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("ending", "is_terminal"), [("time_limit", False), ("termination", True)])
def test_each_row_holds_the_action_that_led_to_it(ending, is_terminal):
    with serial(partial(Counting, length=3, ending=ending), count=2) as vector:
        steps = vector.reset()
        for index in range(12):
            count = index % 4
            assert (steps.observation["count"] == count).all()
            assert (steps.reward == count).all()
            assert (steps.is_first == (count == 0)).all()
            assert (steps.is_last == (count == 3)).all()
            assert (steps.is_terminal == (is_terminal and count == 3)).all()
            assert (steps.episode == index // 4).all()
            np.testing.assert_array_equal(steps.action, np.zeros((2, 2)) if count == 0 else actions(vector, index - 1))
            steps = vector.step(actions(vector, index))


def test_environments_differ_from_one_another():
    with serial(Counting, count=3) as vector:
        assert len({image.tobytes() for image in vector.reset().observation["pixels"]}) == 3


def test_worker_processes_and_serial_environments_show_the_same_and_restored_ones_continue_to_the_bit():
    processes = WorkerEnvironments(environment=CHOICES, count=2, seed=1)
    with processes, serial(CHOICES, count=2, seed=1) as same, serial(CHOICES, count=2, seed=1) as restored:
        assert_same(processes.reset(), same.reset())
        for index in range(18):
            steps = processes.step(actions(processes, index))
            assert_same(steps, same.step(actions(same, index)))
            if index in (6, 7, 17):
                assert_same(steps, restored.restore(processes.snapshot()))
                assert_same(processes.restore(same.snapshot()), steps)
        assert processes.snapshot()[0].episode == 2
        processes.send(actions(processes, 18))
        assert_same(restored.restore(processes.snapshot()), steps)
        assert restored.in_flight
        assert_same(restored.receive(), processes.receive())
        for index in range(19, 28):
            assert_same(restored.step(actions(restored, index)), processes.step(actions(processes, index)))


def test_a_snapshot_keeps_received_and_sent_actions_apart():
    with serial(Counting, count=2) as vector:
        vector.reset()
        vector.step(actions(vector, 0))
        assert [each.sent for each in vector.snapshot()] == [None, None]
        vector.send(actions(vector, 1))
        assert [each.actions.shape for each in vector.snapshot()] == [(1, 2), (1, 2)]
        np.testing.assert_array_equal([each.sent for each in vector.snapshot()], actions(vector, 1))
        vector.receive()
        assert [each.actions.shape for each in vector.snapshot()] == [(2, 2), (2, 2)]
        assert [each.sent for each in vector.snapshot()] == [None, None]


def test_a_worker_steps_while_its_parent_works_and_survives_ctrl_c_until_it_is_closed():
    with WorkerEnvironments(environment=Counting, count=1, seed=0) as vector:
        vector.reset()
        (worker,) = processes(vector)
        os.kill(worker, signal.SIGINT)
        vector.send(np.zeros((1, 2)))
        assert vector._workers[0]._connection.poll(30)
        assert vector.in_flight
        assert (vector.receive().observation["count"] == 1).all()
    vector.close()
    assert not is_alive(worker)


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone")
def test_cores_are_shared_evenly_or_left_to_the_system(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 2})
    assert [cores(count) for count in (1, 2, 3, 4)] == [[None], [2, 4], [None] * 3, [2, 4, 2, 4]]
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)))
    assert cores(4) == [None] * 4
    assert sorted(cores(32)) == sorted([*range(16)] * 2)


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone")
def test_workers_stay_on_their_cores(monkeypatch):
    some = sorted(os.sched_getaffinity(0))[:2]
    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: set(some))
        vector = WorkerEnvironments(environment=Counting, count=len(some), seed=0)
    with vector:
        assert [os.sched_getaffinity(process) for process in processes(vector)] == [{core} for core in some]
        assert [os.sched_getscheduler(process) for process in processes(vector)] == [os.SCHED_BATCH] * len(some)


def test_a_users_own_environment_works_unchanged():
    with serial(Plain) as vector:
        vector.reset()
        steps = vector.step(np.array([[1.0, -1.0]]))
        assert steps.observation["observation"].dtype == np.float32
        np.testing.assert_array_equal(steps.observation["observation"], [[10.0, -1.0]])


def test_an_environment_that_cannot_seek_begins_a_new_episode_and_drops_the_action_in_flight():
    with serial(Plain, count=2) as vector, serial(Plain, count=2) as other:
        vector.reset()
        vector.send(np.zeros((2, 2)))
        with pytest.warns(UserWarning, match="without `seek`"):
            steps = other.restore(vector.snapshot())
        assert steps.is_first.all()
        assert (steps.episode == 1).all()
        assert not other.in_flight


@pytest.mark.parametrize(
    ("environment", "kind", "sizes", "chosen", "shown"),
    [
        (Discrete, "discrete", (4,), [0, 0, 1, 0], [2, 2]),
        (Switches, "multi_discrete", (2, 3, 4, 1), [0, 1, 0, 0, 1, 1, 0, 0, 0, 1], [6, 7, 5, 5]),
    ],
)
def test_choices_are_one_hot_groups_side_by_side(environment, kind, sizes, chosen, shown):
    with serial(environment) as vector:
        assert (vector.specs.action_kind, vector.specs.model_action.sizes) == (kind, sizes)
        vector.reset()
        steps = vector.step(np.array([chosen]))
        np.testing.assert_array_equal(steps.observation["observation"][0, : len(shown)], shown)
        np.testing.assert_array_equal(steps.action, [chosen])


@pytest.mark.parametrize("environment", [Switches, Discrete])
def test_random_choices_are_uniform_and_valid(environment):
    with serial(environment, count=2) as vector:
        random, sizes = np.random.default_rng(0), vector.specs.model_action.sizes
        drawn = np.concatenate([vector.random_actions(random) for _ in range(600)])
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    for size, group in zip(sizes, np.split(drawn, np.cumsum(sizes)[:-1], axis=1), strict=True):
        assert (group.sum(axis=1) == 1).all()
        np.testing.assert_allclose(group.mean(axis=0), 1 / size, atol=0.06)


def test_random_numbers_are_uniform_in_their_range():
    with serial(Counting, count=3) as vector:
        drawn = vector.random_actions(np.random.default_rng(7))
    np.testing.assert_array_equal(drawn, np.random.default_rng(7).uniform(-1, 1, (3, 2)).astype(np.float32))


def test_a_killed_worker_is_an_error_at_once_and_closes_the_rest():
    vector = WorkerEnvironments(environment=Counting, count=2, seed=0)
    vector.reset()
    started = processes(vector)
    assert len(started) == 2
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
def test_a_misbehaving_worker_is_an_error(how, words, monkeypatch):
    monkeypatch.setattr(workers, "SHUTDOWN_SECONDS", 0.5)
    started = []

    def play():
        vector = WorkerEnvironments(environment=partial(Misbehaving, how=how), count=1, seed=0, timeout=0.5)
        started.extend(processes(vector))
        vector.reset()
        vector.step(np.zeros((1, 2)))

    with pytest.raises(UserError) as raised:
        play()
    for word in words:
        assert word in str(raised.value)
    assert not any(is_alive(process) for process in started)


def test_an_environment_that_cannot_be_pickled_is_named():
    with pytest.raises(UserError, match="cannot be sent to a worker process"):
        WorkerEnvironments(environment=lambda seed: Counting(seed=seed), count=1, seed=0)


def test_a_wrong_count_is_a_users_error():
    with pytest.raises(UserError, match=r"Run.environments = 0 must be at least 1"):
        serial(Counting, count=0)
