"""What holds and where it came from: text that loads again by itself."""

from pathlib import Path

import gin
import pytest

from framework.composition import diff, show
from tests.composition.agents import Write, compose, plan


def test_each_value_has_the_place_that_it_came_from(write: Write) -> None:
    write("recipe.gin", "include 'agent.gin'\n\nRollingWindow.rows = 4\n")
    lines = compose("recipe.gin", "Agent.horizon = 7").resolved.splitlines()
    assert "Agent.horizon = 7  # -b 'Agent.horizon = 7'" in lines
    assert "RollingWindow.rows = 4  # recipe.gin:3, replaces agent.gin:12" in lines
    assert "actor/Adam.learning_rate = 8e-05  # agent.gin:14, RATE at agent.gin:17" in lines
    assert any(line.startswith("GaussianRSSM.hidden = 200  # default in ") and "gaussian_rssm.py:" in line for line in lines)


def test_a_default_is_where_it_says(write: Write) -> None:
    line = next(line for line in compose("agent.gin").resolved.splitlines() if line.startswith("GaussianRSSM.minimum_std"))
    file, number = line.rpartition(" ")[2].rsplit(":", 1)
    text = (Path(__file__).parents[2] / file.partition("framework/")[2].join(["framework/", ""])).read_text()
    assert "minimum_std: float = 0.1" in text.splitlines()[int(number) - 1]


BINDINGS = {
    "as it is": (),
    "with a value of every kind": (
        "Agent.encoder = @encoders.MultiEncoder",
        "MultiEncoder.encoders = {'pix*': @small/encoders.ConvEncoder, '*': @encoders.MLPEncoder}",
        "small/ConvEncoder.channels = [8, 16]",
        "GaussianRSSM.balance = 0.8",
        "InfoNCE.axis = 'column_as_released'",
    ),
    "with two scopes": ("Agent.actor_critic = @slow/DynamicsBackprop", "slow/NormalValue.units = 3", "actor/Adam.clip = None"),
    "with no objective": ("Agent.objectives = []",),
}


@pytest.mark.parametrize("name", BINDINGS)
@pytest.mark.parametrize("kind", ["resolved", "operative"])
def test_it_loads_again_by_itself_and_gives_the_same(name: str, kind: str, write: Write) -> None:
    composed = compose("agent.gin", *BINDINGS[name])
    again = compose(write("alone/again.gin", composed.resolved if kind == "resolved" else composed.operative))
    assert again.operative == composed.operative
    assert again.parameters() == composed.parameters()
    assert repr(again.root) == repr(composed.root)


def test_gin_itself_reads_it_as_we_do(write: Write) -> None:
    composed = compose("agent.gin", *BINDINGS["with a value of every kind"])
    try:
        gin.parse_config(composed.resolved)
        for key in ("GaussianRSSM.balance", "small/ConvEncoder.channels", "actor/Adam.learning_rate", "InfoNCE.axis"):
            assert gin.query_parameter(key) == composed.parameters()[key] or str(gin.query_parameter(key)) == composed.parameters()[key]
    finally:
        gin.clear_config()


def test_bindings_that_were_set_aside_are_told(write: Write) -> None:
    text = compose("agent.gin", "InfoNCE.negatives = @negatives.CrossSequence").resolved
    assert "#   RollingWindow.rows  # agent.gin:12, replaced at -b 'InfoNCE.negatives = @negatives.CrossSequence'" in text
    assert "\nRollingWindow.rows" not in text


def test_operative_has_no_comments(write: Write) -> None:
    checked = plan("agent.gin")
    assert "#" not in show(checked)
    assert "# agent.gin:2" in show(checked, provenance=True)


def test_the_difference_of_two_recipes_is_in_their_values(write: Write) -> None:
    left = plan("agent.gin")
    right = plan("agent.gin", "InfoNCE.negatives = @InBatch", "Agent.horizon = 9", "GaussianRSSM.hidden = 200")
    rows = {row.key: (row.left, row.right) for row in diff(left, right)}
    assert rows == {
        "Agent.horizon": ("15", "9"),
        "InfoNCE.negatives": ("@negatives.RollingWindow", "@negatives.InBatch"),
        "RollingWindow.rows": ("10", None),
        "RollingWindow.times": ("30", None),
        "RollingWindow.of": ("None", None),
    }
    assert diff(left, left) == []
