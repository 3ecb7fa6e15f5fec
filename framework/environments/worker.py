"""The program of a worker process: a fresh interpreter with one environment that answers requests until its parent is gone.

It is a program of its own, without `multiprocessing`: it never imports the user's script again, and the parent reads its stderr when it
dies. It imports no torch.
"""

import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from framework.environments.server import EnvironmentServer
from framework.errors import UserError


def main(handle: int) -> None:
    """Receive (environment, seed) and then requests from a socket; answer each with ("done", result) or ("failed", reason)."""
    # Ctrl-C reaches every process of the terminal. The parent decides what it means; closing the socket ends the worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(handle) as connection:
        try:
            _serve(connection)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _serve(connection: Connection) -> None:
    server: EnvironmentServer | None = None

    def answer(request: bytes) -> Any:
        nonlocal server
        arguments = pickle.loads(request)
        if server is not None:
            return server.answer(*arguments)
        server = EnvironmentServer(*arguments)
        return server.describe()

    try:
        while True:
            reply = _guarded(answer, connection.recv_bytes())
            connection.send_bytes(pickle.dumps(reply, protocol=pickle.HIGHEST_PROTOCOL))
    finally:
        if server is not None:
            server.close()


def _guarded(answer: Callable[[bytes], Any], request: bytes) -> tuple[str, Any]:
    try:
        return "done", answer(request)
    except UserError as error:
        return "failed", str(error)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
