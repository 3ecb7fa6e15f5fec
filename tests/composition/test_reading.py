"""The reading of a recipe finds every mistake that needs no building, at its exact line."""

import os
from pathlib import Path

import pytest

from tests.composition.agents import Write, plan, problem
from tests.programs import answer

INCLUDE = "include 'agent.gin'\n"
TWICE_NAMED = """
from framework import negatives
from framework.negatives.in_batch import InBatch
from framework.registry import parts


@parts.register
class TwiceNamed: ...


class Other(negatives.Negatives):
    choose = InBatch.choose


Other.__name__ = "TwiceNamed"
negatives.register(Other)
"""


MISTAKES = {
    "an unknown component of a family": (
        "Agent.actor_critic = @actor_critics.DynamicBackprop",
        "there is no component 'DynamicBackprop' in `actor_critics`; did you mean 'DynamicsBackprop'? Valid are: ",
    ),
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
    "a value that no choice has": ("InfoNCE.axis = 'rows'", "takes one of 'row', 'column', 'symmetric', 'column_as_released', not 'rows'."),
    "a number for a tuple": ("ConvEncoder.channels = 32", "takes a list, each element a whole number, not 32; write [32]."),
    "a wrong value of an optional": ("GaussianRSSM.balance = 'x'", "takes a number or None, not 'x'."),
    "a wrong value in a dict": (
        "Agent.optimizers = {'model': 'much'}",
        "takes a component of `optimizers`, not 'much'; valid are: @optimizers.",
    ),
    "an old setting": (
        "Agent.scales = {'kl': 1.0}",
        "Agent has no parameter 'scales' any more: a loss's weight is a setting of the component that gives the loss: InfoNCE.scale",
    ),
    "a renamed setting": ("DynamicsBackprop.mixing = 0.9", "it is DynamicsBackprop.return_lambda now"),
    "a setting that was renamed for what it draws": (
        "Replay.extra = 3",
        "Replay has no parameter 'extra' any more: it is Replay.extra_candidates now",
    ),
    "a renamed component": ("InfoNCE.negatives = @negatives.Mixed", "there is no component 'Mixed': it is WithinCrossMixture now"),
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
    "infinity": ("Adam.clip = 1e999", "takes a number or None, not inf; write a finite number."),
    "minus infinity": ("GaussianRSSM.free_nats = -1e999", "takes a number, not -inf; write a finite number."),
    "a key that stands twice": ("Agent.optimizers = {'model': @Adam, 'model': @Adam}", "the key 'model' stands twice in one"),
    "a key that a macro repeats": ("Agent.optimizers = {%RATE: @Adam, 8e-5: @Adam}", "optimizers: the key 8e-05 stands twice in one"),
    "a key that is an unknown macro": ("Agent.optimizers = {%RAT: @Adam}", "there is no macro %RAT; did you mean 'RATE'?"),
    "a key that is a list": ("Agent.optimizers = {[1]: @Adam}", "[1] cannot be a key of a dictionary"),
    "a quote of a word processor": ("InfoNCE.axis = \u2018row\u2019", "\u2018 is no quote of gin: write ' or \""),
    "an invisible space": ("InfoNCE.axis\u00a0= 'row'", "there is an invisible character, U+00A0: write a plain space"),
    "an unknown component that is bound": (
        "Agnt.horizon = 3",
        "there is no component 'Agnt'; did you mean 'Agent'? Valid are: Adam, Agent,",
    ),
    "a macro with a scope": ("model/RATE = 3", "'model/RATE' is no name for a macro: write one word"),
    "a word of another language": ("GaussianRSSM.balance = null", "write None for `null`"),
    "a value without quotes": ("InfoNCE.axis = row", "`row` is no value: write text in quotes ('row')"),
    "a bracket that is not closed": ("ConvEncoder.channels = [1, 2", "a bracket or a quote is not closed"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_it_finds(name: str, write: Write) -> None:
    line, message = MISTAKES[name]
    write("recipe.gin", f"{INCLUDE}\n# A mistake:\n{line}\n")
    mistake = problem("recipe.gin")
    assert (mistake.file, mistake.line) == ("recipe.gin", 4)
    assert message in mistake.message


def test_a_value_of_the_setting_that_had_the_name_before_is_refused_with_the_new_one(write: Write) -> None:
    message = problem("agent.gin", "InfoNCE.critic = @CosineCritic", "CosineCritic.temperature = 'learned'").message
    assert message == "CosineCritic.temperature takes a number, not 'learned'; CosineCritic.temperature_kind = 'learned' says so now."


def test_the_command_line_takes_only_bindings(write: Write) -> None:
    assert problem("agent.gin", "import json").message.startswith("the command line takes only bindings")


@pytest.mark.parametrize("name", ["an unknown scope", "an unused macro", "a component of another family", "a value without quotes"])
def test_it_finds_on_the_command_line(name: str, write: Write) -> None:
    line, message = MISTAKES[name]
    mistake = problem("agent.gin", "Agent.imagination_starts = 8", line)
    quote = '"' if "'" in line else "'"
    assert (mistake.file, mistake.line) == (f"-b {quote}{line}{quote}", 2)
    assert str(mistake).startswith(f"-b {quote}{line}{quote}: ")
    assert message in mistake.message


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"{INCLUDE}# é\n".encode("utf-16"), "recipe.gin:1: the file is UTF-16; save it as UTF-8."),
        (INCLUDE.encode("utf-16-le"), "recipe.gin:1: the file is UTF-16; save it as UTF-8."),
        (f"{INCLUDE}\n# é\n".encode("latin-1"), "recipe.gin:3: the file is not UTF-8 (its byte 0xe9 is none); save it as UTF-8."),
        (b"include 'part.gin'\n", "part.gin:2: the file is not UTF-8 (its byte 0xff is none); save it as UTF-8."),
        (f"{INCLUDE}# \u2028 \x85 \x0b \x0c “é”\n\x0cWIDTH = 2\n".encode(), "recipe.gin:3: nothing reads the macro %WIDTH"),
        (f"{INCLUDE}# é\nWIDTH = 2\n".replace("\n", "\r\n").encode("utf-8-sig"), "recipe.gin:3: nothing reads the macro %WIDTH"),
    ],
)
def test_it_reads_utf8_and_names_the_line_of_anything_else(content: bytes, text: str, write: Write) -> None:
    Path("part.gin").write_bytes(b"\n# \xff\n")
    Path("recipe.gin").write_bytes(content)
    assert str(problem("recipe.gin")).startswith(text)


def test_a_binding_that_is_not_utf8_is_refused(write: Write) -> None:
    mistake = problem("agent.gin", "Agent.horizon = 3", os.fsdecode(b"RATE = '\xe9'"))
    assert str(mistake) == "-b \"RATE = '?'\": the binding is not UTF-8; set your terminal to UTF-8."


def test_a_required_parameter_is_missed_where_its_component_is_referred_to(write: Write) -> None:
    write("recipe.gin", INCLUDE + "\nAgent.actor_critic = @other/DynamicsBackprop\nAgent.dynamics = @x/GaussianRSSM\n")
    assert plan("recipe.gin").problems == ()
    write("agent.gin", (Path("agent.gin").read_text()).replace("InfoNCE.critic", "# InfoNCE.critic"))
    mistake = problem("recipe.gin")
    assert (mistake.file, mistake.line) == ("agent.gin", 5)
    assert "InfoNCE.critic is required and nothing sets it: bind InfoNCE.critic to a component of `critics`" in mistake.message


def test_many_mistakes_come_in_one_pass_and_in_order(write: Write) -> None:
    lines = [line for line, _ in MISTAKES.values() if not line.startswith("import")]
    chosen = [line for line in lines if line.partition("=")[0] not in [each.partition("=")[0] for each in lines[: lines.index(line)]]]
    write("recipe.gin", INCLUDE + "".join(f"{line}\n" for line in chosen))
    numbers = [each.line for each in plan("recipe.gin").problems if each.file == "recipe.gin"]
    assert set(numbers) >= set(range(2, 2 + len(chosen)))
    assert len(chosen) >= 10
    assert numbers == sorted(numbers)


def test_a_mistake_brings_no_others_with_it(write: Write) -> None:
    assert "InfoNC'" in problem("agent.gin", "Agent.objectives = [@InfoNC]").message


FILES = {
    "two bindings of one parameter": (
        {"recipe.gin": INCLUDE + "Agent.horizon = 3\nAgent.horizon = 4\n"},
        "recipe.gin:3: Agent.horizon is bound twice in this file: on line 2 and here",
    ),
    "an include after a binding": ({"recipe.gin": "Agent.horizon = 3\ninclude 'agent.gin'\n"}, "recipe.gin:2: includes come first"),
    "a missing include": ({"recipe.gin": "\ninclude 'agnt.gin'\n"}, "recipe.gin:2: there is no file 'agnt.gin' beside this one or in "),
    "includes in a circle": (
        {"recipe.gin": "include 'b.gin'\n", "b.gin": "include 'sub/c.gin'\n", "sub/c.gin": "# c\ninclude '../recipe.gin'\n"},
        "sub/c.gin:2: the includes go around in a circle: recipe.gin -> b.gin -> sub/c.gin -> recipe.gin",
    ),
    "macros in a circle": (
        {"recipe.gin": INCLUDE + "A = %B\nB = %A\nAgent.horizon = %A\n"},
        "recipe.gin:4: the macros go around in a circle: %A -> %B -> %A",
    ),
    "components in a circle": (
        {"recipe.gin": INCLUDE + "Agent.encoder = @MultiEncoder\nMultiEncoder.encoders = {'*': @MultiEncoder}\n"},
        "recipe.gin:3: the components hold each other in a circle: Agent -> MultiEncoder -> MultiEncoder",
    ),
    "a binding of a component that the same file replaced": (
        {"recipe.gin": INCLUDE + "InfoNCE.negatives = @negatives.CrossSequence\nRollingWindow.times = 3\n"},
        "recipe.gin:3: RollingWindow.times: this run has no RollingWindow, its negatives are CrossSequence",
    ),
    "a plugin that fails": (
        {"broken_plugin_a.py": "x = 1\ny = x / 0\n", "recipe.gin": f"import broken_plugin_a\n{INCLUDE}"},
        "recipe.gin:1: importing 'broken_plugin_a' failed at broken_plugin_a.py:2: ZeroDivisionError: division by zero.",
    ),
    "a name of two families": (
        {"twice_named_plugin.py": TWICE_NAMED, "recipe.gin": f"import twice_named_plugin\n{INCLUDE}InfoNCE.negatives = @TwiceNamed\n"},
        "recipe.gin:3: InfoNCE.negatives: 'TwiceNamed' is ambiguous: write negatives.TwiceNamed or parts.TwiceNamed",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_it_finds_in_files(name: str, write: Write) -> None:
    files, text = FILES[name]
    for file, content in files.items():
        write(file, content)
    assert str(problem("recipe.gin")).startswith(text)


def test_it_finds_every_syntax_error_of_a_file(write: Write) -> None:
    lines = "Agent.horizon = row\nGaussianRSSM.hidden = 3 4\nConvEncoder.channels = (1,\nGaussianRSSM.stochastic = 0.5\n"
    write("recipe.gin", INCLUDE + lines)
    assert [each.line for each in plan("recipe.gin").problems] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "binding",
    [
        "Agent.horizon = 15",
        "InfoNCE.negatives = @negatives.CrossSequence",  # sets the bindings of the replaced component aside
        "GaussianRSSM.free_nats = 3",
        "ConvEncoder.channels = [8, 16]",
    ],
)
def test_it_accepts(binding: str, write: Write) -> None:
    assert plan("agent.gin", binding).problems == ()


def test_it_reads_without_torch_in_under_a_second_and_a_half(write: Write) -> None:
    """Of the processor's time, so that a busy machine is no slower."""
    program = (
        "import time",
        "start = time.process_time()",
        "from framework.composition import plan",
        "problems = plan('dreamer_v3', ['DMControl.size = 84', 'BlockRSSM.blocks = 7']).problems",
        "heavy = [name for name in ('torch', 'numpy', 'dm_env', 'dm_control') if name in sys.modules]",
        "print(json.dumps([len(problems), heavy, time.process_time() - start]))",
    )
    answers = [answer(*program) for _ in range(2)]
    assert [each[:2] for each in answers] == [[0, []]] * 2
    assert min(seconds for *_, seconds in answers) < 1.5
