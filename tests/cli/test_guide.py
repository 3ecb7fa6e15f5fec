"""The guide to the commands is true."""

import re
import shlex

import click
import pytest

from framework.cli import COMMANDS, dream
from tests.cli.calls import ROOT

GUIDE = (ROOT / "docs" / "guides" / "commands.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^    (dream .*)$", GUIDE, re.MULTILINE)


def test_every_command_has_an_example_and_a_line() -> None:
    assert {shlex.split(example)[1] for example in EXAMPLES} == set(COMMANDS)
    for name, (_, summary) in COMMANDS.items():
        assert f"| [`{name}`](#{name}) | {summary} |" in GUIDE


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_understood(example: str) -> None:
    _, name, *arguments = shlex.split(example)
    context = dream.make_context("dream", [name], resilient_parsing=True)
    command = dream.get_command(context, name)
    if isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(context, name)
    assert isinstance(command, click.Command)
    assert command.make_context(name, arguments, parent=context).params
