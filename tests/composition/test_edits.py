"""`+=` and `['key'] =` of the command line: a part of a value changes, and the recipe that is written is plain gin."""

import pytest

from framework.composition import show
from tests.composition.agents import Write, compose, plan

BARLOW = "Agent.objectives+=@objectives.BarlowTwins"
CONTINUATION = "Agent.heads['continuation']=@heads.ContinuationHead"


def value(key: str, *bindings: str) -> str:
    """The value of a setting of the small agent, as gin writes it."""
    checked = plan("agent.gin", *bindings)
    assert checked.problems == ()
    return next(setting.text for node in checked.nodes() for name, setting in node.settings.items() if f"{node.key}.{name}" == key)


@pytest.mark.parametrize(
    ("bindings", "objectives"),
    [
        ([BARLOW], "[@objectives.InfoNCE, @objectives.BarlowTwins]"),
        ([BARLOW, "Agent.objectives += @Prototypes"], "[@objectives.InfoNCE, @objectives.BarlowTwins, @objectives.Prototypes]"),
        (["Agent.objectives += [@BarlowTwins, @x/InfoNCE]"], "[@objectives.InfoNCE, @objectives.BarlowTwins, @x/objectives.InfoNCE]"),
        (["Agent.objectives = []", BARLOW], "[@objectives.BarlowTwins]"),
        ([BARLOW, "Agent.objectives = [@InfoNCE]"], "[@objectives.InfoNCE]"),
    ],
)
def test_elements_are_added_in_the_order_of_the_bindings(bindings: list[str], objectives: str, write: Write) -> None:
    assert value("Agent.objectives", *bindings) == objectives


def test_it_adds_to_a_default_and_to_a_macro(write: Write) -> None:
    assert value("InfoNCE.diagnostics", "InfoNCE.diagnostics+=@bounds.NWJ") == "(@bounds.NWJ,)"
    assert value("InfoNCE.offsets", "OFFSETS=(1, 2)", "InfoNCE.offsets=%OFFSETS", "InfoNCE.offsets+=4") == "(1, 2, 4)"


def test_it_sets_one_key_and_keeps_the_others(write: Write) -> None:
    both = "{'reward': @heads.RewardHead, 'continuation': @heads.ContinuationHead}"
    assert value("Agent.heads", CONTINUATION) == both
    assert value("Agent.heads", CONTINUATION.replace("'", '"')) == both
    assert value("Agent.heads", "Agent.heads['reward'] = @heads.TwoHotRewardHead") == "{'reward': @heads.TwoHotRewardHead}"


def test_it_changes_the_value_of_its_scope(write: Write) -> None:
    bindings = ["Agent.encoder=@own/ConvEncoder", "ConvEncoder.channels=(8, 16)", "own/ConvEncoder.channels+=32"]
    assert value("own/ConvEncoder.channels", *bindings) == "(8, 16, 32)"


def test_the_whole_value_is_in_the_resolved_recipe_with_its_places(write: Write) -> None:
    composed = compose("agent.gin", BARLOW, CONTINUATION)
    line = f"Agent.objectives = [@objectives.InfoNCE, @objectives.BarlowTwins]  # -b '{BARLOW}', replaces agent.gin:5"
    assert line in composed.resolved.splitlines()
    assert f'# -b "{CONTINUATION}", replaces agent.gin:4' in composed.resolved
    again = compose(write("alone/again.gin", composed.resolved))
    assert again.operative == composed.operative == show(composed.plan)
    assert composed.texts["overrides.txt"].splitlines() == [BARLOW, CONTINUATION]
    longer = compose("alone/again.gin", "Agent.objectives+=@Prototypes")
    assert "[@objectives.InfoNCE, @objectives.BarlowTwins, @objectives.Prototypes]" in longer.operative


def test_the_bindings_of_a_replaced_key_are_set_aside(write: Write) -> None:
    write("recipe.gin", "include 'agent.gin'\nRewardHead.units = 30\n")
    checked = plan("recipe.gin", "Agent.heads['reward'] = @heads.TwoHotRewardHead")
    assert checked.problems == ()
    assert [binding.key for binding, _ in checked.set_aside] == ["RewardHead.units"]


@pytest.mark.parametrize("line", [BARLOW, CONTINUATION])
def test_a_file_binds_whole_values(line: str, write: Write) -> None:
    write("recipe.gin", f"include 'agent.gin'\n{line}\n")
    (problem,) = plan("recipe.gin").problems
    assert str(problem) == (
        "recipe.gin:2: this cannot be read: only the command line (-b) changes a part of a value; a file binds the whole of it."
    )
