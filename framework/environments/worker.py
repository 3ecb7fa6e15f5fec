"""A worker process: a fresh interpreter that holds one environment and answers requests until its parent is gone.

It is started as a program of its own, and not through `multiprocessing`: so it never imports the user's script again, and what
it writes to stderr can be told when it dies. It imports no torch.
"""

import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from framework.environments.session import Session
from framework.errors import UserError


def main(handle: int) -> None:
    """Take (factory, seed) and then requests from a socket; answer each with ("done", result) or ("failed", why)."""
    # Ctrl-C reaches the whole terminal; the parent alone decides what it means, and closing the socket ends the worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(handle) as connection:
        try:
            _serve(connection)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _serve(connection: Connection) -> None:
    session: Session | None = None

    def answer(request: bytes) -> Any:
        nonlocal session
        arguments = pickle.loads(request)
        if session is not None:
            return session.perform(*arguments)
        session = Session(*arguments)
        return session.describe()

    try:
        while True:
            reply = _guarded(answer, connection.recv_bytes())
            connection.send_bytes(pickle.dumps(reply, protocol=pickle.HIGHEST_PROTOCOL))
    finally:
        if session is not None:
            session.close()


def _guarded(answer: Callable[[bytes], Any], request: bytes) -> tuple[str, Any]:
    try:
        return "done", answer(request)
    except UserError as error:
        return "failed", str(error)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"


if __name__ == "__main__":
    main(int(sys.argv[1]))
