"""Signals while a run is entered, sent to this process."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from framework.errors import UserError
from framework.tracking.base import Event, Status, Tracker
from framework.tracking.writer import Writer
from framework.training import interrupt as module
from framework.training.interrupt import Interrupt, close_tracker


class Stuck(Tracker):
    """A store that answers no call for a minute, and then keeps the status."""

    def __init__(self) -> None:
        self.release, self.status = threading.Event(), ""

    def record(self, event: Event) -> None:
        self.release.wait(60)

    def close(self, status: Status) -> None:
        self.status = status


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A shell may have started the tests with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_once_or_twice_and_the_handlers_return(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert interrupt.requested
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_stops_at_once_and_other_signals_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ONE_GESTURE", 0.0)
    with Interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_work_that_may_be_left_is_left_soon_after_a_signal_and_not_begun_after_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.1)
    with Interrupt() as interrupt:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(KeyboardInterrupt), interrupt.stopping():
            time.sleep(60)
        with pytest.raises(KeyboardInterrupt), interrupt.stopping():
            raise AssertionError("begun")


def test_an_error_that_follows_a_signal_is_no_mistake_of_the_user_and_the_signal_is_named() -> None:
    def stopped() -> None:
        with Interrupt():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            raise UserError("the worker has not answered")

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        stopped()


def test_a_signal_while_trackers_close_ends_that_within_seconds_and_the_run_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.1)
    stuck = Stuck()
    writer, started = Writer(tracker=stuck, name="MLflow", deadline=60.0), time.monotonic()
    writer.put(lambda: stuck.release.wait(60))
    with Interrupt() as interrupt:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert close_tracker(writer, "FINISHED", interrupt) == "KILLED"
    assert 0.2 < time.monotonic() - started < 8
    assert "1 records were not delivered" in caplog.text
    stuck.release.set()
    writer._thread.join(10)
    assert stuck.status == "KILLED"
