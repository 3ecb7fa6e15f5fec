"""The program of a worker process: a fresh interpreter with one environment that answers requests until its parent is gone.

Unlike `multiprocessing` it never imports the user's script again, and the parent reads its stderr when it dies. It imports no torch.
"""

import pickle
import signal
import sys
import traceback
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection

from framework.environments.server import EnvironmentServer
from framework.errors import UserError


def serve(connection: Connection) -> None:
    """Receive (environment, seed) and then requests; answer each with ("done", result) or ("failed", reason)."""
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
            except UserError as error:
                reply = "failed", str(error)
            except Exception as error:
                reply = "failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            connection.send_bytes(pickle.dumps(reply, protocol=pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    # Ctrl-C reaches every process of the terminal. The parent decides what it means; closing the socket ends the worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(connection)
