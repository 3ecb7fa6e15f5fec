"""The laboratory with the shipped components alone, its command in an empty folder, and the row of a report by its name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.measurement.report import Report, Row
from framework.registry import registry_of
from tests.cli.calls import Call, call_dream
from tests.members import members


@pytest.fixture(autouse=True, scope="package")
def shipped() -> Iterator[None]:
    """Hide members that other tests registered, since the laboratory measures every registered member; sample few batches."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in map(registry_of, ("critics", "negatives", "bounds")):
            patch.setattr(registry, "_classes", {name: registry.get(name) for name in members(registry.family)})
        patch.setattr("framework.lab.derivation.BATCHES", (4, 16))
        yield


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command in an empty folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return call_dream


@pytest.fixture
def row() -> Callable[..., Row]:
    """The only row of a report with this name and these values."""

    def find(report: Report, name: str, **values: object) -> Row:
        (match,) = [each for each in report.rows if each.name == name and values.items() <= each.values.items()]
        return match

    return find
