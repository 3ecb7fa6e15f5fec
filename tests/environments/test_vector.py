import os
import signal
import sys
import time
from functools import partial

import numpy as np
import pytest

from framework.environments.counting import Counting
from framework.environments.dm_control import DMControl
from framework.environments.vector import VectorEnvironment
from framework.environments.workers import ProcessWorker, cores
from framework.errors import UserError
from tests.environments.samples import Discrete, Misbehaving, Plain, Switches

CARTPOLE = partial(DMControl, task="cartpole_swingup", observe="both", size=16, action_repeat=50, quality="fast")


def assert_same(steps, others):
    for name in ("action", "reward", "is_first", "is_last", "is_terminal", "episode"):
        np.testing.assert_array_equal(getattr(steps, name), getattr(others, name))
    assert steps.observation.keys() == others.observation.keys()
    for name, array in steps.observation.items():
        np.testing.assert_array_equal(array, others.observation[name])


def actions(vector, index):
    """An action that says which step and which environment it is for."""
    return np.linspace(-1, 1, vector.count * vector.specs.action_size).reshape(vector.count, -1) / (index + 1)


def processes(vector):
    return [host.process_id for host in vector._hosts if isinstance(host, ProcessWorker)]


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("ending", "is_terminal"), [("time_limit", False), ("termination", True)])
def test_each_row_holds_the_action_that_led_to_it(ending, is_terminal):
    with VectorEnvironment(factory=partial(Counting, length=3, ending=ending), count=2, seed=0, mode="serial") as vector:
        steps = vector.reset()
        for index in range(12):
            count = index % 4
            assert (steps.observation["count"] == count).all()
            assert (steps.reward == count).all()
            assert (steps.is_first == (count == 0)).all()
            assert (steps.is_last == (count == 3)).all()
            assert (steps.is_terminal == (is_terminal and count == 3)).all()
            assert (steps.episode == index // 4).all()
            expected = np.zeros((2, 2)) if count == 0 else actions(vector, index - 1)
            np.testing.assert_array_equal(steps.action, expected.astype(np.float32))
            steps = vector.step(actions(vector, index))


def test_environments_differ_from_one_another():
    with VectorEnvironment(factory=Counting, count=3, seed=0, mode="serial") as vector:
        assert len({image.tobytes() for image in vector.reset().observation["pixels"]}) == 3


def test_both_modes_show_the_same_and_a_restored_one_goes_on_to_the_bit():
    with (
        VectorEnvironment(factory=CARTPOLE, count=2, seed=1, mode="process") as workers,
        VectorEnvironment(factory=CARTPOLE, count=2, seed=1, mode="serial") as serial,
        VectorEnvironment(factory=CARTPOLE, count=2, seed=1, mode="serial") as restored,
    ):
        assert workers.specs.observation.keys() == {"pixels", "position", "velocity"}
        assert (workers.specs.action_size, workers.action_repeat) == (1, 50)
        assert_same(workers.reset(), serial.reset())
        for index in range(30):
            steps = workers.step(actions(workers, index))
            assert_same(steps, serial.step(actions(serial, index)))
            if index in (19, 20, 29):
                assert_same(steps, restored.restore(workers.record()))
                assert_same(workers.restore(serial.record()), steps)
        assert workers.record()[0].episode == 1
        for index in range(30, 45):
            assert_same(workers.step(actions(workers, index)), restored.step(actions(restored, index)))


def test_a_record_tells_what_was_received_from_what_was_sent():
    with VectorEnvironment(factory=Counting, count=2, seed=0, mode="serial") as vector:
        vector.reset()
        vector.step(actions(vector, 0))
        assert [record.sent for record in vector.record()] == [None, None]
        vector.send(actions(vector, 1))
        assert [record.actions.shape for record in vector.record()] == [(1, 2), (1, 2)]
        np.testing.assert_array_equal([record.sent for record in vector.record()], actions(vector, 1).astype(np.float32))
        vector.receive()
        assert [record.actions.shape for record in vector.record()] == [(2, 2), (2, 2)]
        assert [record.sent for record in vector.record()] == [None, None]


@pytest.mark.parametrize("mode", ["serial", "process"])
def test_a_record_of_a_step_in_flight_goes_on_with_it(mode):
    with (
        VectorEnvironment(factory=CARTPOLE, count=2, seed=1, mode=mode) as first,
        VectorEnvironment(factory=CARTPOLE, count=2, seed=1, mode=mode) as restored,
    ):
        first.reset()
        before = first.step(actions(first, 0))
        first.send(actions(first, 1))
        assert_same(restored.restore(first.record()), before)
        assert restored.in_flight
        assert_same(restored.receive(), first.receive())
        assert_same(restored.step(actions(restored, 2)), first.step(actions(first, 2)))


def test_the_halves_of_a_step_come_in_turn():
    with VectorEnvironment(factory=Counting, count=1, seed=0, mode="serial") as vector:
        vector.reset()
        with pytest.raises(RuntimeError, match="`send` before"):
            vector.receive()
        vector.send(np.zeros((1, 2)))
        for call in (lambda: vector.send(np.ones((1, 2))), vector.reset, lambda: vector.restore(vector.record())):
            with pytest.raises(RuntimeError, match="in flight"):
                call()
        np.testing.assert_array_equal(vector.receive().action, np.zeros((1, 2)))


def test_workers_answer_before_they_are_asked():
    """A step goes on while this process does something else."""
    with VectorEnvironment(factory=Counting, count=2, seed=0) as vector:
        vector.reset()
        vector.send(np.zeros((2, 2)))
        assert all(host._connection.poll(30) for host in vector._hosts)
        assert vector.in_flight
        assert (vector.receive().observation["count"] == 1).all()


def on_cores(monkeypatch, *ours):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(ours))


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone")
def test_cores_are_shared_evenly_or_left_to_the_system(monkeypatch):
    on_cores(monkeypatch, 4, 2)
    assert [cores(count) for count in (1, 2, 3, 4)] == [[None], [2, 4], [None] * 3, [2, 4, 2, 4]]
    on_cores(monkeypatch, *range(16))
    assert cores(4) == [None] * 4
    assert sorted(cores(32)) == sorted([*range(16)] * 2)


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux alone")
def test_workers_stay_on_the_cores_that_they_got(monkeypatch):
    allowed = os.sched_getaffinity(0)
    some = sorted(allowed)[:2]
    with monkeypatch.context() as patch:
        on_cores(patch, *some)
        vector = VectorEnvironment(factory=Counting, count=len(some), seed=0)
    with vector:
        assert [os.sched_getaffinity(process) for process in processes(vector)] == [{core} for core in some]
        assert [os.sched_getscheduler(process) for process in processes(vector)] == [os.SCHED_BATCH] * len(some)
    with VectorEnvironment(factory=Counting, count=1, seed=0) as vector:  # all cores where there are several, and the one else
        assert {frozenset(os.sched_getaffinity(process)) for process in processes(vector)} == {frozenset(allowed)}


def test_steps_share_no_memory():
    with VectorEnvironment(factory=Counting, count=2, seed=0, mode="serial") as vector:
        given = actions(vector, 0).astype(np.float32)
        first, second = vector.reset(), vector.step(given)
        assert not np.shares_memory(second.action, given)
        for name in first.observation:
            assert not np.shares_memory(first.observation[name], second.observation[name])


def test_a_users_own_environment_works_unchanged():
    with VectorEnvironment(factory=Plain, count=1, seed=0, mode="serial") as vector:
        vector.reset()
        steps = vector.step(np.array([[1.0, -1.0]]))
        assert steps.observation["observation"].dtype == np.float32
        np.testing.assert_array_equal(steps.observation["observation"], [[10.0, -1.0]])
        with pytest.warns(UserWarning, match="without `seek`"):
            again = vector.restore(vector.record())
        assert again.is_first.all()
        assert again.episode == 1


def test_what_was_in_flight_is_dropped_where_a_new_episode_begins():
    """It was chosen for what another episode showed."""
    with (
        VectorEnvironment(factory=Plain, count=2, seed=0, mode="serial") as vector,
        VectorEnvironment(factory=Plain, count=2, seed=0, mode="serial") as other,
    ):
        vector.reset()
        vector.send(np.zeros((2, 2)))
        with pytest.warns(UserWarning, match="without `seek`"):
            assert other.restore(vector.record()).is_first.all()
        assert not other.in_flight


def test_a_discrete_action_is_one_hot():
    with VectorEnvironment(factory=Discrete, count=1, seed=0, mode="serial") as vector:
        assert (vector.specs.action_kind, vector.specs.action_size) == ("discrete", 4)
        vector.reset()
        steps = vector.step(np.eye(4)[[2]])
        assert (steps.observation["observation"] == 2).all()
        np.testing.assert_array_equal(steps.action, np.eye(4)[[2]])


def test_several_choices_are_groups_side_by_side():
    with VectorEnvironment(factory=Switches, count=1, seed=0, mode="serial") as vector:
        assert (vector.specs.action_kind, vector.specs.model_action.sizes) == ("multi_discrete", (2, 3, 4, 1))
        vector.reset()
        given = np.array([[0, 1, 0, 0, 1, 1, 0, 0, 0, 1]], np.float32)
        steps = vector.step(given)
        np.testing.assert_array_equal(steps.observation["observation"][0, :4], [6, 7, 5, 5])
        np.testing.assert_array_equal(steps.action, given)


@pytest.mark.parametrize(("environment", "sizes"), [(Switches, (2, 3, 4, 1)), (Discrete, (4,))])
def test_random_choices_are_uniform_and_valid(environment, sizes):
    with VectorEnvironment(factory=environment, count=2, seed=0, mode="serial") as vector:
        random = np.random.default_rng(0)
        drawn = np.concatenate([vector.random_actions(random) for _ in range(600)])
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    for size, group in zip(sizes, np.split(drawn, np.cumsum(sizes)[:-1], axis=1), strict=True):
        assert (group.sum(axis=1) == 1).all()
        np.testing.assert_allclose(group.mean(axis=0), 1 / size, atol=0.06)


def test_random_numbers_are_uniform_in_their_range():
    with VectorEnvironment(factory=Counting, count=3, seed=0, mode="serial") as vector:
        drawn = vector.random_actions(np.random.default_rng(7))
    np.testing.assert_array_equal(drawn, np.random.default_rng(7).uniform(-1, 1, (3, 2)).astype(np.float32))


def test_choices_are_resumed_exactly():
    """In a worker too, and whatever integers the choices are there."""
    random = np.random.default_rng(0)
    with (
        VectorEnvironment(factory=Switches, count=2, seed=1, mode="process") as played,
        VectorEnvironment(factory=Switches, count=2, seed=1, mode="serial") as restored,
    ):
        played.reset()
        for _ in range(9):
            steps = played.step(played.random_actions(random))
        assert_same(restored.restore(played.record()), steps)
        for _ in range(3):
            given = played.random_actions(random)
            assert_same(played.step(given), restored.step(given))


def test_a_killed_worker_is_an_error_at_once_and_closes_the_rest():
    vector = VectorEnvironment(factory=Counting, count=2, seed=0)
    vector.reset()
    workers = processes(vector)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"environment worker 1 of 2 died \(SIGKILL"):
        vector.step(actions(vector, 0))
    assert time.monotonic() - start < 2
    assert not any(is_alive(worker) for worker in workers)
    np.testing.assert_array_equal([record.sent for record in vector.record()], actions(vector, 0).astype(np.float32))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raise", ["worker 0 of 1 failed: ZeroDivisionError: the pole is in two places", "Traceback", "samples.py"]),
        ("exit", ["worker 0 of 1 died (exit status 3)", "the driver gave up"]),
        ("hang", ["worker 0 of 1 has not answered for 0.5 s"]),
        ("unmade", ["worker 0 of 1 failed: ValueError: cannot be made"]),
    ],
)
def test_a_misbehaving_worker_is_an_error(how, words):
    workers = []

    def play():
        vector = VectorEnvironment(factory=partial(Misbehaving, how=how), count=1, seed=0, timeout=0.5)
        workers.extend(processes(vector))
        vector.reset()
        vector.step(np.zeros((1, 2)))

    with pytest.raises(UserError) as raised:
        play()
    for word in words:
        assert word in str(raised.value)
    assert not any(is_alive(worker) for worker in workers)


def test_a_worker_leaves_ctrl_c_to_its_parent_and_closing_ends_it():
    with VectorEnvironment(factory=Counting, count=1, seed=0) as vector:
        vector.reset()
        (worker,) = processes(vector)
        os.kill(worker, signal.SIGINT)
        time.sleep(0.1)
        assert (vector.step(np.zeros((1, 2))).observation["count"] == 1).all()
    vector.close()
    assert not is_alive(worker)


def test_what_cannot_be_sent_to_a_worker_is_named():
    with pytest.raises(UserError, match="cannot be sent to a worker process"):
        VectorEnvironment(factory=lambda seed: Counting(seed=seed), count=1, seed=0)


@pytest.mark.parametrize("wrong", [np.zeros(2), np.zeros((3, 2)), np.zeros((2, 1))])
def test_actions_of_a_wrong_shape_are_refused(wrong):
    with VectorEnvironment(factory=Counting, count=2, seed=0, mode="serial") as vector:
        vector.reset()
        with pytest.raises(ValueError, match=r"must have shape \(2, 2\)"):
            vector.step(wrong)


def test_a_wrong_count_is_a_users_error():
    with pytest.raises(UserError, match="count of at least 1"):
        VectorEnvironment(factory=Counting, count=0, seed=0)
    with (
        VectorEnvironment(factory=Counting, count=1, seed=0, mode="serial") as one,
        VectorEnvironment(factory=Counting, count=2, seed=0, mode="serial") as two,
        pytest.raises(UserError, match="keep the count"),
    ):
        two.restore(one.record())
