"""The static check: every kind of mistake, at its exact line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.composition import check
from framework.composition.problems import Problem

Write = Callable[[str, str], Path]
INCLUDE = "include 'agent.gin'\n"


def problems(recipe: str | Path, *bindings: str) -> list[Problem]:
    return check(recipe, bindings, root="parts.Agent")


def only(found: list[Problem]) -> Problem:
    assert len(found) == 1, "\n".join(map(str, found))
    return found[0]


def test_a_sound_recipe_has_no_problem(write: Write) -> None:
    assert problems("agent.gin") == []


MISTAKES = {
    "an unknown component": ("Agnt.horizon = 3", "there is no component 'Agnt'; did you mean 'Agent'?"),
    "an unknown component of a family": (
        "Agent.actor_critic = @actor_critics.DynamicBackprop",
        "there is no component 'DynamicBackprop' in `actor_critics`; did you mean 'DynamicsBackprop'? Valid are: ",
    ),
    "an unknown component by its bare name": ("Agent.encoder = @ConvEncodr", "in `encoders`; did you mean 'ConvEncoder'?"),
    "an unknown family": ("Agent.encoder = @encoder.ConvEncoder", "there is no family 'encoder'; did you mean 'encoders'?"),
    "an unknown parameter": ("GaussianRSSM.detministic = 3", "has no parameter 'detministic'; did you mean 'deterministic'? Valid are: "),
    "an unknown scope": (
        "modle/Adam.clip = 3.0",
        "no reference uses the scope 'modle'; did you mean 'model'? Valid are: actor, model, value",
    ),
    "a scope inside a scope": ("a/b/Adam.clip = 3.0", "scopes are flat"),
    "an unknown macro": ("Agent.horizon = %RAT", "there is no macro %RAT; did you mean 'RATE'? Valid are: RATE"),
    "an unused macro": ("WIDTH = 200", "nothing reads the macro %WIDTH"),
    "a parameter written as a macro": ("horizon = 20", "did you mean Agent.horizon = 20?"),
    "a macro that holds a component": ("X = @encoders.ConvEncoder", "macros are for literals"),
    "an integer written as a float": ("Agent.horizon = 1e6", "takes a whole number, not 1000000.0; write 1000000."),
    "a fraction for an integer": ("Agent.horizon = 0.5", "takes a whole number, not 0.5."),
    "a truth value for an integer": ("Agent.horizon = True", "takes a whole number, not True."),
    "text for a number": ("GaussianRSSM.free_nats = '3'", "takes a number, not '3'."),
    "a value that no choice has": ("InfoNCE.axis = 'rows'", "takes one of 'row', 'column', 'symmetric', 'column_as_released', not 'rows'."),
    "a number for a tuple": ("ConvEncoder.channels = 32", "takes a list, each element a whole number, not 32; write [32]."),
    "a wrong element of a tuple": ("ConvEncoder.channels = (32, 'a')", "takes a whole number, not 'a'."),
    "a wrong value of an optional": ("GaussianRSSM.balance = 'x'", "takes a number or None, not 'x'."),
    "a list for a dict": ("Agent.scales = [1.0]", "takes a dict from a text in quotes to a number, not [1.0]."),
    "a wrong value in a dict": ("Agent.scales = {'reward': 'much'}", "takes a number, not 'much'."),
    "a literal for a component": (
        "Agent.encoder = 'ConvEncoder'",
        "takes a component of `encoders`, not 'ConvEncoder'; valid are: @encoders.",
    ),
    "a component for a literal": ("Agent.horizon = @encoders.ConvEncoder", "takes a whole number, not @encoders.ConvEncoder."),
    "a component of another family": (
        "Agent.encoder = @dynamics.GaussianRSSM",
        "takes a component of `encoders`, and @dynamics.GaussianRSSM is a component of `dynamics`; valid are: @encoders.ConvEncoder",
    ),
    "a component that is called": ("Agent.encoder = @encoders.ConvEncoder()", "write it without the brackets"),
    "a derived parameter": ("ConvEncoder.observation = 3", "ConvEncoder.observation is derived: Python passes it"),
    "a component that nothing refers to": ("ImageHead.base = 512", "this run has no ImageHead, its heads are RewardHead"),
    "a required parameter that is unset": ("Agent.dynamics = %gin.REQUIRED", "Agent.dynamics is required and nothing sets it"),
    "a module that is not there": ("import no_such_module_anywhere", "there is no module 'no_such_module_anywhere'"),
    "a value without quotes": ("InfoNCE.axis = row", "`row` is no value: write text in quotes ('row')"),
    "a truth value of another language": ("InfoNCE.axis = true", "write True for `true`"),
    "arithmetic": ("Agent.horizon = 10 * 2", "gin has no arithmetic"),
    "a bracket that is not closed": ("ConvEncoder.channels = [1, 2", "a bracket or a quote is not closed"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_it_finds(name: str, write: Write) -> None:
    line, message = MISTAKES[name]
    write("recipe.gin", f"{INCLUDE}\n# A mistake:\n{line}\n")
    problem = only(problems("recipe.gin"))
    assert (problem.file, problem.line) == ("recipe.gin", 4)
    assert message in problem.message


@pytest.mark.parametrize("name", [name for name in MISTAKES if name != "a module that is not there"])
def test_it_finds_on_the_command_line(name: str, write: Write) -> None:
    line, message = MISTAKES[name]
    problem = only(problems("agent.gin", "Agent.imagination_starts = 8", line))
    assert (problem.file, problem.line) == (f"-b '{line}'", 2)
    assert str(problem).startswith(f"-b '{line}' (number 2): ")
    assert message in problem.message


def test_a_required_parameter_is_missed_where_its_component_is_referred_to(write: Write) -> None:
    write("recipe.gin", INCLUDE + "\nAgent.actor_critic = @other/DynamicsBackprop\nAgent.dynamics = @x/GaussianRSSM\n")
    assert problems("recipe.gin") == []
    write("agent.gin", (Path("agent.gin").read_text()).replace("InfoNCE.critic", "# InfoNCE.critic"))
    problem = only(problems("recipe.gin"))
    assert (problem.file, problem.line) == ("agent.gin", 5)
    assert "InfoNCE.critic is required and nothing sets it: bind InfoNCE.critic to a component of `critics`" in problem.message


def test_many_mistakes_come_in_one_pass_and_in_order(write: Write) -> None:
    lines = [line for line, _ in MISTAKES.values()]
    chosen = [line for line in lines if line.partition("=")[0] not in [each.partition("=")[0] for each in lines[: lines.index(line)]]]
    write("recipe.gin", INCLUDE + "".join(f"{line}\n" for line in chosen))
    found = problems("recipe.gin")
    assert {problem.line for problem in found if problem.file == "recipe.gin"} >= set(range(2, 2 + len(chosen)))
    assert len(chosen) >= 15
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)


def test_a_mistake_brings_no_others_with_it(write: Write) -> None:
    assert "InfoNC'" in only(problems("agent.gin", "Agent.objectives = [@InfoNC]")).message


def test_every_syntax_error_of_a_file_is_found(write: Write) -> None:
    write(
        "recipe.gin",
        INCLUDE + "Agent.horizon = row\nGaussianRSSM.hidden = 3 4\nConvEncoder.channels = (1,\nGaussianRSSM.stochastic = 0.5\n",
    )
    assert [problem.line for problem in problems("recipe.gin")] == [2, 3, 4, 5]


def test_two_bindings_of_one_parameter_in_one_file_are_a_mistake(write: Write) -> None:
    write("recipe.gin", INCLUDE + "Agent.horizon = 3\nAgent.horizon = 4\n")
    assert str(only(problems("recipe.gin"))).startswith("recipe.gin:3: Agent.horizon is bound twice in this file: on line 2 and here")


def test_an_include_after_a_binding_is_a_mistake(write: Write) -> None:
    write("recipe.gin", "Agent.horizon = 3\ninclude 'agent.gin'\n")
    assert str(only(problems("recipe.gin"))).startswith("recipe.gin:2: includes come first")


def test_a_missing_include_names_the_nearest_file(write: Write) -> None:
    write("recipe.gin", "\ninclude 'agnt.gin'\n")
    problem = only(problems("recipe.gin"))
    assert (problem.file, problem.line) == ("recipe.gin", 2)
    assert "the nearest that exists is 'agent.gin'" in problem.message


def test_an_include_cycle_is_named_as_a_chain(write: Write) -> None:
    write("a.gin", "include 'b.gin'\n")
    write("b.gin", "include 'sub/c.gin'\n")
    write("sub/c.gin", "# c\ninclude '../a.gin'\n")
    assert str(only(problems("a.gin"))).startswith("sub/c.gin:2: the includes go around in a circle: a.gin -> b.gin -> sub/c.gin -> a.gin")


def test_includes_are_found_beside_the_file_that_includes_them(write: Write) -> None:
    write("deep/recipe.gin", "include 'part.gin'\n")
    write("deep/part.gin", "include '../agent.gin'\n")
    assert problems("deep/recipe.gin") == []


def test_macros_that_go_around_in_a_circle_are_a_mistake(write: Write) -> None:
    write("recipe.gin", INCLUDE + "A = %B\nB = %A\nAgent.horizon = %A\n")
    assert "the macros go around in a circle: %A -> %B -> %A" in str(only(problems("recipe.gin")))


def test_components_that_hold_each_other_are_a_mistake(write: Write) -> None:
    write("recipe.gin", INCLUDE + "Agent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'*': @MultiEncoder}\n")
    found = problems("recipe.gin")
    assert str(found[0]).startswith("recipe.gin:3: the components hold each other in a circle: Agent -> MultiEncoder -> MultiEncoder")


def test_an_override_sets_the_bindings_of_what_it_replaces_aside(write: Write) -> None:
    assert problems("agent.gin", "InfoNCE.negatives = @negatives.CrossSequence") == []


def test_a_file_may_not_replace_a_component_and_bind_it(write: Write) -> None:
    write("recipe.gin", INCLUDE + "InfoNCE.negatives = @negatives.CrossSequence\nRollingWindow.times = 3\n")
    problem = only(problems("recipe.gin"))
    assert (problem.line, "this run has no RollingWindow, its negatives are CrossSequence" in problem.message) == (3, True)


def test_an_integer_will_do_for_a_float(write: Write) -> None:
    assert problems("agent.gin", "GaussianRSSM.free_nats = 3", "Agent.scales = {'kl': 1, 'reward': 1, 'infonce': 1}") == []


def test_a_list_will_do_for_a_tuple(write: Write) -> None:
    assert problems("agent.gin", "ConvEncoder.channels = [8, 16]") == []


def test_a_failing_plugin_is_named_with_its_own_line(write: Write) -> None:
    write("broken_plugin_a.py", "x = 1\ny = x / 0\n")
    write("recipe.gin", f"import broken_plugin_a\n{INCLUDE}")
    assert str(only(problems("recipe.gin"))) == (
        "recipe.gin:1: importing 'broken_plugin_a' failed at broken_plugin_a.py:2: ZeroDivisionError: division by zero."
    )


def test_a_name_of_two_families_must_say_which(write: Write) -> None:
    plugin = "from framework import negatives, critics\nfrom framework.negatives.in_batch import InBatch\n"
    write(
        "twice_named_plugin.py",
        plugin + "from framework.registry import parts\n@parts.register\nclass TwiceNamed:\n    pass\n"
        "class Other(negatives.Negatives):\n    forward = InBatch.forward\n"
        "Other.__name__ = 'TwiceNamed'\nnegatives.register(Other)\n",
    )
    write("recipe.gin", f"import twice_named_plugin\n{INCLUDE}InfoNCE.negatives = @TwiceNamed\n")
    problem = only(problems("recipe.gin"))
    assert problem.line == 3
    assert "'TwiceNamed' is ambiguous: write negatives.TwiceNamed or parts.TwiceNamed" in problem.message


def test_it_answers_without_torch_in_under_a_second_and_a_half(write: Write) -> None:
    """Of the processor's time, so that a busy machine is no slower."""
    program = (
        "import json, sys, time\n"
        "start = time.process_time()\n"
        "from framework.composition import check\n"
        "found = check('agent.gin', root='parts.Agent')\n"
        "print(json.dumps([len(found), 'torch' in sys.modules, time.process_time() - start]))\n"
    )
    root = Path(__file__).parents[2]
    answers = [
        json.loads(subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(root)}, capture_output=True, check=True).stdout)
        for _ in range(2)
    ]
    assert [answer[:2] for answer in answers] == [[0, False]] * 2
    assert min(seconds for _, _, seconds in answers) < 1.5
