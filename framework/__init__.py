"""Latent world models for reinforcement learning, and above all their contrastive form: an agent is a gin file.

    environment -> replay -> encoder -> dynamics -> objectives, heads -> imagination -> behavior -> tracking

`compose` turns a recipe into a run; a run trains, resumes and evaluates; `load_policy` acts. Each family of components is a
package with a `register` of its own: `from framework import negatives`, then `@negatives.register`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.training.pictures import picture
    from framework.training.run import Result, Run, compose, evaluate, find_checkpoint, find_run, load_policy, resume

__version__ = "0.1.0"

_HOMES = {
    "Result": "framework.training.run",
    "Run": "framework.training.run",
    "compose": "framework.training.run",
    "evaluate": "framework.training.run",
    "find_checkpoint": "framework.training.run",
    "find_run": "framework.training.run",
    "load_policy": "framework.training.run",
    "picture": "framework.training.pictures",
    "resume": "framework.training.run",
}

__all__ = ["Result", "Run", "compose", "evaluate", "find_checkpoint", "find_run", "load_policy", "picture", "resume"]


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: `dream list` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'framework' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
