"""The program of a worker process: a fresh interpreter with one environment that answers requests until its parent is gone.

Unlike `multiprocessing` it never imports the user's script again, and the parent reads its stderr when it dies. It imports no torch.
"""

import ctypes
import os
import pickle
import signal
import sys
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final

from framework.environments.server import EnvironmentServer, lasts, reason

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that reach every process of a terminal or of a group. The parent decides what they mean; closing the socket ends the worker."""
PR_SET_PDEATHSIG: Final = 1
"""The option of Linux's `prctl` for the signal at the end of the thread that started this process, of `sys/prctl.h`."""


def serve(connection: Connection) -> None:
    """Receive (environment, seed) and then requests; answer each with ("done", result), ("failed", reason) or ("lasting", reason)."""
    server: EnvironmentServer | None = None
    with ExitStack() as stack:
        while True:
            message = connection.recv_bytes()
            try:
                request = pickle.loads(message)
                if server is None:
                    server = stack.enter_context(closing(EnvironmentServer(*request)))
                else:
                    server.send(*request)
                reply = "done", server.receive()
            except Exception as error:
                reply = "lasting" if lasts(error) else "failed", reason(error)
            connection.send_bytes(pickle.dumps(reply, protocol=pickle.HIGHEST_PROTOCOL))


def leave_signals_to(parent: int) -> None:
    """Die with the parent process, however both are busy then, and take no other signal that stops a group of processes.

    They are handled by nothing rather than ignored, which the environment's own processes would inherit.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit()
    for number in STOPPING:
        signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    leave_signals_to(int(sys.argv[2]))
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(connection)
