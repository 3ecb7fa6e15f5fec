"""Frozen factories: each class receives the values of its recipe, independently of gin."""

import multiprocessing
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import gin
import numpy as np
import pytest
from dm_env import specs

from framework.agent import Agent
from framework.composition import plan
from framework.composition.factory import ComponentFactory
from framework.composition.modules import distributions, needed
from framework.encoders.conv_encoder import ConvEncoder
from framework.errors import UserError
from framework.specs import Specs
from tests.cli.calls import TINY
from tests.composition.agents import Write, compose
from tests.programs import answer

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


def small(**observation: specs.Array) -> Specs:
    return Specs(observation=observation, action=specs.BoundedArray((2,), np.float32, -1.0, 1.0))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


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


def test_a_macro_may_be_a_key(write: Write) -> None:
    heads = compose("agent.gin", "Agent.heads = {%NAME: @RewardHead}", "NAME = 'reward'").root.keywords["heads"]
    assert list(heads) == ["reward"]


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
    with pytest.raises(UserError, match=r"^-b 'RollingWindow.rows = 0': RollingWindow.rows = 0 and ") as error:
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
    assert composed.modules == {name: Path("mine", name).resolve() for name in ("load_plugin.py", "load_plugin_helper.py")}
    assert sys.path == [*before, str(Path("mine").resolve())]
    monkeypatch.setattr(sys, "path", before)

    composed.write(Path("run"))
    names = ["code/load_plugin.py", "code/load_plugin_helper.py", "operative.gin", "overrides.txt", "resolved.gin"]
    assert files(Path("run")) == names
    assert compose("run/resolved.gin").operative == composed.operative
    assert compose("mine/recipe.gin").root.keywords["encoder"].func.__name__ == "LoadPluginEncoder"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(build_there, (composed.root,))[1] == "Agent"


def load_elsewhere(recipe: str, *, write_to: str, root: str = "parts.Agent") -> str:
    """The operative recipe, loaded and written by a process of its own."""
    return str(
        answer(
            "from pathlib import Path; from framework.composition import load",
            f"composed = load({recipe!r}, root={root!r}); composed.write(Path({write_to!r})); print(json.dumps(composed.operative))",
        )
    )


def test_a_package_keeps_its_layout_and_its_run_loads_with_the_project_gone(write: Write) -> None:
    """Of the package what the component needs: what a function imports later too, and what was loaded by a computed name."""
    write("project/load_package/__init__.py", "import importlib\nimportlib.import_module('load_package.' + 'computed')\n")
    write("project/load_package/parts/__init__.py", "")
    text = PLUGIN.replace("LoadPluginEncoder", "PackageEncoder").replace("from load_plugin_helper import SIZE", "from ..sizes import SIZE")
    write("project/load_package/parts/encoder.py", text + "\n        from load_package_beside import later\n")
    write("project/load_package/sizes.py", "SIZE = 1\n")
    write("project/load_package/computed.py", "")
    write("project/load_package/unneeded.py", "")
    write("project/load_package_beside.py", "def later(): ...\n")
    recipe = "import load_package.parts.encoder\ninclude '../agent.gin'\nAgent.encoder = @PackageEncoder\n"
    write("project/recipe.gin", recipe)
    composed = load_elsewhere("project/recipe.gin", write_to="run")
    package = ["__init__.py", "computed.py", "parts/__init__.py", "parts/encoder.py", "sizes.py"]
    code = [*(f"code/load_package/{name}" for name in package), "code/load_package_beside.py"]
    assert files(Path("run")) == [*code, "operative.gin", "overrides.txt", "resolved.gin"]
    shutil.rmtree("project")
    assert load_elsewhere("run/resolved.gin", write_to="again") == composed
    assert files(Path("again")) == files(Path("run"))


def test_a_module_on_the_path_is_kept_unless_it_is_installed(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write("project/src/load_on_path/deep.py", "")
    monkeypatch.syspath_prepend(Path("project/src").resolve())
    modules = compose(write("recipe.gin", "import load_on_path.deep\nimport yaml\nimport json\ninclude 'agent.gin'\n")).modules
    assert modules == {"load_on_path/deep.py": source}


def test_the_module_of_a_task_is_kept_whether_the_recipe_imports_it_or_the_task_names_it(write: Write) -> None:
    write("project/load_registers.py", "from load_task import SPEED\n")
    write("project/load_task.py", "SPEED = 1\n")
    write("project/load_named.py", "")
    lines = "import load_registers\ninclude '../tiny.gin'\nRun.environment = @Gymnasium\nGymnasium.task = 'load_named:Task-v0'\n"
    write("project/recipe.gin", lines)
    write("tiny.gin", TINY.read_text())
    resolved = load_elsewhere("project/recipe.gin", write_to="run", root="parts.Run")
    assert resolved.startswith("import load_registers\nimport load_named\n\n")
    assert files(Path("run"))[:3] == ["code/load_named.py", "code/load_registers.py", "code/load_task.py"]
    shutil.rmtree("project")
    assert load_elsewhere("run/resolved.gin", write_to="again", root="parts.Run") == resolved


def test_a_part_has_the_imports_that_lead_to_its_components_and_no_others(write: Write) -> None:
    write("imports.py", "from outside import Registered\n")
    write("mine/__init__.py", "")
    write("mine/encoder.py", "from .sizes import SIZE\n")
    write("mine/sizes.py", "SIZE = 1\n")
    write("mine/task.py", "import gymnasium\n")
    names = ("imports.py", "mine/__init__.py", "mine/encoder.py", "mine/sizes.py", "mine/task.py")
    modules, imports = {name: Path(name).resolve() for name in names}, ["imports", "mine.encoder", "mine.task", "yaml"]
    assert needed(["mine.sizes"], imports, modules) == (("mine.encoder",), {name: modules[name] for name in names[1:]})
    assert needed(["outside.deep"], imports, modules) == (("imports",), {"imports.py": modules["imports.py"]})
    assert needed(["yaml.loader"], imports, modules) == (("yaml",), {})
    assert distributions(["yaml"], {}) == ["PyYAML"]
    assert distributions(["mine.encoder"], modules) == []
    assert distributions(["mine.task"], modules) == ["gymnasium"]


def test_a_plugin_can_be_named_on_the_command_line(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(
        "named_plugin.py",
        PLUGIN.replace("LoadPluginEncoder", "NamedPluginEncoder").replace("from load_plugin_helper import SIZE", "SIZE = 2"),
    )
    composed = compose("agent.gin", "Agent.encoder = @NamedPluginEncoder", imports=["named_plugin"])
    assert composed.parameters()["NamedPluginEncoder.size"] == 2


def test_two_tasks_of_different_modules_of_one_name_are_a_mistake_since_gymnasium_imports_them_by_name(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = {"Run.environment": "@environments.Gymnasium", "Gymnasium.task": "same_named_plugin:Task-v0"}
    for folder, value in (("one", 1), ("two", 2)):
        write(f"{folder}/same_named_plugin.py", f"VALUE = {value}\n")
        write(f"{folder}/recipe.gin", "include 'quickstart.gin'\n")
    assert plan("one/recipe.gin", settings).problems == ()
    (problem,) = plan("two/recipe.gin", settings).problems
    assert problem.message == "another 'same_named_plugin' is loaded, and hides the one in two; begin a new process."


def test_a_class_of_a_notebook_cell_can_be_composed(write: Write) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    text = PLUGIN.replace("LoadPluginEncoder", "CellEncoder").replace("from load_plugin_helper import SIZE", "SIZE = 3")
    exec(compile(text, "<cell 1>", "exec"), namespace)
    composed = compose("agent.gin", "Agent.encoder = @CellEncoder")
    assert composed.root.keywords["encoder"].func is namespace["CellEncoder"]
    assert "default in <cell 1>:" in composed.resolved
    exec(compile(text.replace("SIZE = 3", "SIZE = 4"), "<cell 2>", "exec"), namespace)
    assert compose("agent.gin", "Agent.encoder = @CellEncoder").parameters()["CellEncoder.size"] == 4
