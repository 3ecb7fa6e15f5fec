"""A replay of streams that count their steps, so that one row out of place fails a test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from framework.replay.replay import Replay
from tests.replay.streams import SPECS, extend


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Replay]:
    """A replay of small steps; `added` counted steps are in each of its streams."""

    def build(*, added: int = 0, **changes: Any) -> Replay:
        settings = {"capacity": 60, "batch": 8, "length": 6, "streams": 2, "seed": 0, "storage": "memory"} | changes
        folder = tmp_path / f"memmap{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        replay = Replay(specs=SPECS, device=torch.device("cpu"), folder=folder, **settings)
        extend(replay, 0, added)
        return replay

    return build
