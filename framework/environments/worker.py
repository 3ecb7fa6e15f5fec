"""A worker process: a fresh interpreter that holds one environment and answers requests until its parent is gone.

It is started as a program of its own, and not through `multiprocessing`: so it never imports the user's script again, and what
it writes to stderr can be told when it dies. It imports no torch.
"""

import pickle
import signal
import sys
import traceback
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
    while True:
        request = connection.recv_bytes()
        try:
            if session is None:
                factory, seed = pickle.loads(request)
                session = Session(factory, seed)
                answer: tuple[str, Any] = ("done", session.describe())
            else:
                answer = ("done", session.perform(*pickle.loads(request)))
        except UserError as error:
            answer = ("failed", str(error))
        except Exception as error:
            answer = ("failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        connection.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main(int(sys.argv[1]))
