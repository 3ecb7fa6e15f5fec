"""A whole run, small enough for tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

import framework
from framework.training.run import Run

TINY = Path(__file__).parent / "tiny.gin"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Composes the tiny recipe, with bindings, into runs that are recorded in a temporary folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def compose(*bindings: str) -> Run:
        return framework.compose(TINY, [f"Tracking.folder='{tmp_path}/runs'", *bindings])

    return compose
