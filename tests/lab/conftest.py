"""The command as a user calls it, in an empty folder, and what a report says by name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.lab.report import Report, Row
from framework.registry import registry_of
from tests.cli.calls import Call, call_dream
from tests.members import members


@pytest.fixture(autouse=True, scope="package")
def only_ours() -> Iterator[None]:
    """The laboratory measures every registered member: here without those that other tests registered for themselves."""
    hidden = {family: dict(registry_of(family).registered) for family in ("critics", "negatives", "bounds")}
    for family, classes in hidden.items():
        for name in [each for each in classes if each not in members(family)]:
            registry_of(family)._classes.pop(name)
    yield
    for family, classes in hidden.items():
        registry_of(family)._classes.update(classes)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command in an empty folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return call_dream


@pytest.fixture
def row() -> Callable[..., Row]:
    """The one row of a report with this name, and with these conditions."""

    def find(report: Report, name: str, **under: object) -> Row:
        (found,) = [each for each in report.rows if each.name == name and under.items() <= dict(each.under).items()]
        return found

    return find
