"""Frozen factories: each class receives the values of its recipe, independently of gin."""

import multiprocessing
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gin
import numpy as np
import pytest
from dm_env import specs

from framework.agent import Agent
from framework.composition import Composition, load
from framework.composition.factory import ComponentFactory
from framework.data import Specs
from framework.encoders.conv_encoder import ConvEncoder
from framework.errors import UserError

Write = Callable[[str, str], Path]
PLUGIN = """
from load_plugin_helper import SIZE
from framework.encoders.base import Encoder
from framework import encoders


@encoders.register
class LoadPluginEncoder(Encoder):
    \"\"\"One number for each image.\"\"\"

    def __init__(self, *, observation, size: int = SIZE) -> None:
        super().__init__(observation=observation)
        self.embedding_size = size

    def forward(self, observation):
        return observation["pixels"].float().mean((-1, -2, -3), keepdim=True)[..., 0]
""".replace("observation, size", "observation: object, size")


def compose(recipe: str | Path, *bindings: str) -> Composition:
    return load(recipe, bindings, root="parts.Agent")


def small(**observation: specs.Array) -> Specs:
    return Specs(observation=observation, action=specs.BoundedArray((2,), np.float32, -1.0, 1.0))


def build_there(factory: ComponentFactory) -> tuple[int, str]:
    agent = factory(specs=small(pixels=specs.Array((64, 64, 3), np.uint8)))
    return agent.horizon, type(agent).__name__


def test_it_gives_each_class_its_values(write: Write) -> None:
    root = compose("agent.gin", "Agent.horizon = 7", "ConvEncoder.channels = [8, 16]").root
    assert root.func is Agent
    assert root.keywords["horizon"] == 7
    assert root.keywords["encoder"].func is ConvEncoder
    assert root.keywords["encoder"].keywords == {"channels": (8, 16), "kernel": 4, "activation": "relu", "normalize": "none"}
    assert root.keywords["objectives"][0].keywords["negatives"].keywords["rows"] == 10


def test_a_scope_overrides_what_holds_without_one(write: Write) -> None:
    optimizers = compose("agent.gin", "actor/Adam.epsilon = 1e-3").root.keywords["optimizers"]
    assert {name: each.keywords["epsilon"] for name, each in optimizers.items()} == {"model": 1e-5, "actor": 1e-3, "value": 1e-5}
    assert {name: each.keywords["learning_rate"] for name, each in optimizers.items()} == {"model": 6e-4, "actor": 8e-5, "value": 8e-5}


def test_a_component_without_a_scope_lives_in_that_of_its_holder(write: Write) -> None:
    composed = compose("agent.gin", "Agent.actor_critic = @slow/DynamicsBackprop", "slow/NormalValue.units = 3", "NormalValue.layers = 1")
    value = composed.root.keywords["actor_critic"].keywords["value"]
    assert (value.keywords["units"], value.keywords["layers"]) == (3, 1)
    assert composed.parameters()["slow/NormalValue.units"] == 3


def test_the_command_line_overrides_the_recipe_and_the_recipe_its_includes(write: Write) -> None:
    write("recipe.gin", "include 'agent.gin'\nRollingWindow.rows = 4\nRATE = 1e-2\n")
    assert compose("recipe.gin").parameters()["RollingWindow.rows"] == 4
    composed = compose("recipe.gin", "RollingWindow.rows = 6", "RATE = 1e-3", "RollingWindow.rows = 8")
    assert composed.parameters()["RollingWindow.rows"] == 8
    assert composed.parameters()["actor/Adam.learning_rate"] == 1e-3
    assert composed.overrides == ("RollingWindow.rows = 6", "RATE = 1e-3", "RollingWindow.rows = 8")


def test_two_compositions_stand_side_by_side_and_gin_holds_neither(write: Write) -> None:
    one, two = compose("agent.gin", "Agent.horizon = 1"), compose("agent.gin", "Agent.horizon = 2")
    agents = [each.root(specs=small(pixels=specs.Array((64, 64, 3), np.uint8))) for each in (one, two)]
    assert [agent.horizon for agent in agents] == [1, 2]
    assert gin.config_str().strip() == ""


def test_a_pickled_factory_refuses_at_the_place_of_the_binding(write: Write) -> None:
    root = pickle.loads(pickle.dumps(compose("agent.gin", "RollingWindow.rows = 0").root))
    with pytest.raises(UserError, match=r"^-b 'RollingWindow.rows = 0' \(number 1\): RollingWindow.rows = 0 and ") as error:
        build_there(root)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_plugin_beside_the_recipe_is_imported_written_and_found_by_a_spawned_process(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mine/load_plugin_helper.py", "SIZE = 1\n")
    write("mine/load_plugin.py", PLUGIN)
    write("mine/recipe.gin", "import load_plugin\ninclude '../agent.gin'\nAgent.encoder = @encoders.LoadPluginEncoder\n")
    before = list(sys.path)
    composed = compose("mine/recipe.gin")
    assert composed.parameters()["LoadPluginEncoder.size"] == 1
    assert [path.name for path in composed.plugins] == ["load_plugin.py", "load_plugin_helper.py"]
    assert sys.path == [*before, str(Path("mine").resolve())]
    monkeypatch.setattr(sys, "path", before)

    composed.write(Path("run"))
    names = ["load_plugin.py", "load_plugin_helper.py", "operative.gin", "overrides.txt", "resolved.gin"]
    assert sorted(path.name for path in Path("run").iterdir()) == names
    assert compose("run/resolved.gin").operative == composed.operative
    assert load("mine/recipe.gin", root="parts.Agent").root.keywords["encoder"].func.__name__ == "LoadPluginEncoder"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(build_there, (composed.root,))[1] == "Agent"


def test_a_plugin_can_be_named_on_the_command_line(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(
        "named_plugin.py",
        PLUGIN.replace("LoadPluginEncoder", "NamedPluginEncoder").replace("from load_plugin_helper import SIZE", "SIZE = 2"),
    )
    bindings = ["Agent.encoder = @NamedPluginEncoder"]
    assert load("agent.gin", bindings, imports=["named_plugin"], root="parts.Agent").parameters()["NamedPluginEncoder.size"] == 2


def test_two_different_modules_of_one_name_are_a_mistake(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    write("one/same_named_plugin.py", "VALUE = 1\n")
    write("two/same_named_plugin.py", "VALUE = 2\n")
    for folder in ("one", "two"):
        write(f"{folder}/recipe.gin", "import same_named_plugin\ninclude '../agent.gin'\n")
    compose("one/recipe.gin")
    with pytest.raises(UserError, match=r"two/recipe.gin:1: a module named 'same_named_plugin' was loaded from one/same_named_plugin.py"):
        compose("two/recipe.gin")


def test_a_class_of_a_notebook_cell_can_be_composed(write: Write) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    text = PLUGIN.replace("LoadPluginEncoder", "CellEncoder").replace("from load_plugin_helper import SIZE", "SIZE = 3")
    exec(compile(text, "<cell 1>", "exec"), namespace)
    composed = compose("agent.gin", "Agent.encoder = @CellEncoder")
    assert composed.root.keywords["encoder"].func is namespace["CellEncoder"]
    assert "default in <cell 1>:" in composed.resolved
    exec(compile(text.replace("SIZE = 3", "SIZE = 4"), "<cell 2>", "exec"), namespace)
    assert compose("agent.gin", "Agent.encoder = @CellEncoder").parameters()["CellEncoder.size"] == 4
