"""The line that a run was started with, as it is recorded."""

import sys

import pytest

from framework.tracking.provenance import command
from tests.members import ROOT


def test_a_command_is_recorded_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dream", "train", "quickstart", "-b", "task='walker_walk'"])
    assert command() == """dream train quickstart -b 'task='"'"'walker_walk'"'"''"""


def test_what_was_started_as_a_module_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "framework" / "__main__.py"), "bench", "update", "quickstart"])
    assert command() == "python -m framework bench update quickstart"
