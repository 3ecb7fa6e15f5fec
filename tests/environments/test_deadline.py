"""Deadlines in this process, by real signals."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from framework.environments.deadline import Overdue, deadline, hasten


def test_work_ends_at_its_deadline_though_it_handles_every_exception_and_work_within_it_is_let_be():
    def try_again():
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    started = time.monotonic()
    with pytest.raises(Overdue), deadline(0.2):
        try_again()
    assert 0.1 < time.monotonic() - started < 5
    with deadline(0.2):
        pass
    time.sleep(0.3)


def test_a_deadline_is_raised_again_where_it_was_swallowed():
    caught = []

    def swallow():
        try:
            time.sleep(60)
        except BaseException as error:
            caught.append(error)
        time.sleep(60)

    with pytest.raises(Overdue), deadline(0.1):
        swallow()
    assert [type(error) for error in caught] == [Overdue]


def test_a_deadline_can_be_brought_forward_and_never_put_off():
    def work():
        hasten(0.2)
        hasten(50.0)
        time.sleep(60)

    started = time.monotonic()
    with pytest.raises(Overdue), deadline(60.0):
        work()
    assert time.monotonic() - started < 5
    hasten(0.01)
    time.sleep(0.1)


def test_an_alarm_that_was_set_before_still_rings():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        for _ in range(10):
            with deadline(60.0):
                time.sleep(0.01)
        time.sleep(0.4)
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert len(rung) == 1


def test_there_is_no_deadline_outside_the_main_thread():
    def work():
        assert threading.current_thread() is not threading.main_thread()
        with deadline(0.01):
            time.sleep(0.1)
        return "done"

    with ThreadPoolExecutor() as threads:
        assert threads.submit(work).result() == "done"
