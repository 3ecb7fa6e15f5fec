"""Latent world models for reinforcement learning, and above all their contrastive form: an agent is a gin file.

    environment -> replay -> encoder -> dynamics -> objectives, heads -> imagination -> behavior -> tracking

`compose` turns a recipe into a run; a run trains, resumes and evaluates; `load_policy` acts, and `play` plays episodes with it.
Each family of components is a package with a `register` of its own: `from framework import negatives`, then `@negatives.register`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.reports.report import RunReport, report
    from framework.sweeps.api import sweep
    from framework.training.api import compose, evaluate, find_checkpoint, find_run, load_policy, resume, sync
    from framework.training.fault import replay_fault
    from framework.training.pictures import picture
    from framework.training.play import play
    from framework.training.result import Result
    from framework.training.run import Run

__version__ = "0.1.0"

_HOMES = {
    "Result": "framework.training.result",
    "Run": "framework.training.run",
    "RunReport": "framework.reports.report",
    "compose": "framework.training.api",
    "evaluate": "framework.training.api",
    "find_checkpoint": "framework.training.api",
    "find_run": "framework.training.api",
    "load_policy": "framework.training.api",
    "picture": "framework.training.pictures",
    "play": "framework.training.play",
    "replay_fault": "framework.training.fault",
    "report": "framework.reports.report",
    "resume": "framework.training.api",
    "sweep": "framework.sweeps.api",
    "sync": "framework.training.api",
}

__all__ = [
    "Result",
    "Run",
    "RunReport",
    "compose",
    "evaluate",
    "find_checkpoint",
    "find_run",
    "load_policy",
    "picture",
    "play",
    "replay_fault",
    "report",
    "resume",
    "sweep",
    "sync",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, since torch takes seconds to import."""
    if name not in _HOMES:
        raise AttributeError(f"module 'framework' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
