"""Bindings from Python: a mapping of values, or a list of statements."""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import framework
from framework.composition import check, statements
from framework.composition.values import Reference
from framework.errors import UserError
from framework.lab.members import chosen
from framework.training.checks import check as build
from tests.composition.agents import Write, compose, load

AGENT = partial(load, root="parts.Agent")


def test_the_values_of_a_mapping_are_pythons_and_components_are_texts(write: Write) -> None:
    values = {
        "Agent.horizon": np.int64(7),
        "ConvEncoder.channels": [8, 16],
        "InfoNCE.critic": "@critics.BilinearCritic",
        "InfoNCE.axis": "row",
        "InfoNCE.offsets": (1, 2),
        "Agent.imagination_starts": None,
        "model/Adam.learning_rate": np.float64(1e-5),
        "Agent.optimizers": {"model": "@model/Adam", "actor": "@actor/Adam", "value": "@value/Adam"},
    }
    composed = AGENT("agent.gin", values)
    texts = {"ConvEncoder.channels": "(8, 16)", "InfoNCE.offsets": "(1, 2)", "Agent.optimizers": composed.parameters()["Agent.optimizers"]}
    assert {key: composed.parameters()[key] for key in values} == values | texts
    assert composed.resolved == compose("agent.gin", *statements(values)).resolved
    assert "Agent.horizon=7" in composed.overrides


def test_a_text_with_a_percent_sign_is_a_macro_and_any_other_text_is_quoted() -> None:
    written = statements({"A.b": "%WIDTH", "A.c": "it's", "A.d": "50% @home", "A.e": "@x/f.G()", "A.f": True})
    assert written == ("A.b=%WIDTH", 'A.c="it\'s"', "A.d='50% @home'", "A.e=@x/f.G()", "A.f=True")
    assert statements({"A.b": ["@f.G"]}) == (f"A.b={[Reference('', 'f.G', called=False)]!r}",)


def test_a_value_of_the_wrong_type_is_refused_as_on_the_command_line(write: Write) -> None:
    with pytest.raises(UserError, match=r"-b 'Agent.horizon=1.5'.*Agent.horizon takes a whole number, not 1.5"):
        AGENT("agent.gin", {"Agent.horizon": 1.5})


@pytest.mark.parametrize("value", [math.inf, math.nan, object(), {1}, Reference, np.zeros(2), b"x"])
def test_a_value_that_gin_cannot_write_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match=r"`bindings` has A.b = .*write a finite number, a text, .*@critics.CosineCritic"):
        statements({"A.b": [value]})


TAKE_BINDINGS = {
    "compose": partial(framework.compose, "quickstart"),
    "the check by reading": partial(check, "quickstart"),
    "the check by building": partial(build, "quickstart"),
    "the laboratory": partial(chosen, "negatives", ()),
}


@pytest.mark.parametrize("name", TAKE_BINDINGS)
def test_a_text_in_the_place_of_bindings_is_refused(name: str) -> None:
    message = '`bindings` is the text "Run.seed=1"; write a list, ["Run.seed=1"], or a mapping, {"Run.seed": 1}.'
    with pytest.raises(UserError, match=re.escape(message)):
        TAKE_BINDINGS[name]("Run.seed=1")


@pytest.mark.parametrize("take", [framework.compose, check, build])
def test_a_text_in_the_place_of_imports_is_refused(take: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r'`imports` is the text "my_module"; write a list, \["my_module"\].'):
        take("quickstart", imports="my_module")
