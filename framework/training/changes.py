"""What differs between a checkpoint and the run that continues from it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from torch import Tensor

from framework.errors import UserError

SCHEDULE: Final = ("Trainer.train_ratio", "Trainer.train_every", "Trainer.prefill", "Trainer.pretrain", "Replay.batch", "Replay.length")
"""The settings that decide how many updates are due."""


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """What to say about each setting with another value; a component that was replaced is named by the setting that holds it."""
    names = [name for name in now if name in before and before[name] != now[name] and name != "Tracking.folder"]
    return {name: f"{name} = {now[name]} ({before[name]} before)" for name in names}


def announcement(step: int, changes: Mapping[str, str], *, pretrained: bool) -> str:
    """One line about a resume with other settings."""
    counted = ". Updates are counted from here" if any(name in changes for name in SCHEDULE) else ""
    past = ", and the pretraining is over" if pretrained and "Trainer.pretrain" in changes else ""
    return f"Resumed at step {step} with {', '.join(changes.values())}{counted}{past}."


@contextmanager
def explained_by(changes: Mapping[str, str]) -> Iterator[None]:
    """Name the changed settings in an error of loading."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error} Changed since the checkpoint: {', '.join(changes.values()) or 'no setting'}.") from error


def require_fit(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse saved contents whose tensors have other names or shapes than a run's own."""
    there, here = dict(_sizes(saved)), dict(_sizes(own))
    wrong = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    if wrong:
        name = wrong[0]
        more = f", and {len(wrong) - 1} others differ too" if len(wrong) > 1 else ""
        raise UserError(
            f"The checkpoint does not fit this run: {name} is {there.get(name, 'missing')} there and {here.get(name, 'missing')} here"
            f"{more}; continue with the settings that it was saved with, or train a new run."
        )


def optimizer_entries(states: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The names of the entries of each optimizer; their tensors have the sizes of the parameters, or are not made yet."""
    return {f"the optimizer of {group}": f"one with {', '.join(sorted(state))}" for group, state in states.items()}


def _sizes(contents: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The shape of each tensor, and each text, by its path."""
    if isinstance(contents, Mapping):
        for key, value in contents.items():
            yield from _sizes(value, f"{name}.{key}" if name else str(key))
    elif isinstance(contents, Sequence) and not isinstance(contents, str):
        for index, value in enumerate(contents):
            yield from _sizes(value, f"{name}.{index}")
    elif isinstance(contents, Tensor):
        yield name, str([*contents.shape])
    elif isinstance(contents, str):
        yield name, contents
