"""Logging of a command: each warning is one line on standard error, and messages for developers are off."""

import logging
import os
import sys
import warnings
from typing import final

import click


@final
class OneLine(logging.Handler):
    """Writes each record as one line, to the standard error of that moment, which a moving progress line replaces for a time."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text = f"{text} ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        level = f"{record.levelname.capitalize()}: " if record.levelno > logging.INFO else ""
        click.echo(f"{level}{' '.join(text.split())}", err=True)


def quieten() -> None:
    """Set up logging and warnings for a command, once."""
    root = logging.getLogger()
    if not any(isinstance(handler, OneLine) for handler in root.handlers):
        root.addHandler(OneLine(logging.INFO))
        logging.getLogger("framework").setLevel(logging.INFO)
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler, which the laboratory reads memory from
    logging.captureWarnings(True)
    warnings.formatwarning = _sentence
    if not sys.warnoptions:
        # Announcements to developers, such as that pynvml was renamed, which a user cannot mend.
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)


def _sentence(message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    return f"{message}"
