"""Registration: what is refused, what comes back, what is found."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from framework import negatives, registry
from framework.cli import COMMANDS
from framework.composition import list_recipes
from framework.errors import UserError
from framework.negatives.in_batch import InBatch
from framework.registry import Registry
from framework.signatures import FAMILIES, builtin_components
from tests.programs import answer

ROOT = Path(__file__).parents[1]


class PlainPart:
    """A part of the tests."""

    def __init__(self, *, size: int = 3) -> None:
        self.size = size


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    """A registry of parts that vanishes after the test."""
    monkeypatch.setattr(registry, "_registries", dict(registry._registries))
    return Registry("parts", object)


def test_the_class_comes_back_unchanged(family: Registry[object]) -> None:
    assert family.register(PlainPart) is PlainPart
    assert family.get("PlainPart") is PlainPart
    assert pickle.loads(pickle.dumps(PlainPart(size=4))).size == 4
    assert "PlainPart" in family.list()
    assert family.describe("PlainPart").parameters[0].annotation == "int"


def test_an_unknown_name_is_told_with_the_nearest_the_list_and_the_remedies() -> None:
    for ask in (negatives.registry.get, negatives.registry.describe):
        with pytest.raises(UserError) as error:
            ask("InBach")
        text = str(error.value)
        assert (
            "There is no component of `negatives` named 'InBach'; did you mean 'InBatch'? Valid are: ActionNegatives, CrossSequence" in text
        )
        assert "`import your_module` in the recipe, or `--import your_module`" in text


TYPING_ERRORS = {
    "components": "InBach InBatch, Infonce InfoNCE, GaussianCritc GaussianCritic, BarlowTwns BarlowTwins, Barlow BarlowTwins, Adm Adam, "
    "MemoryQue MemoryQueue, ConvEncodr ConvEncoder, CrossSeq CrossSequence, infoNCEbound InfoNCEBound",
    "settings": "stps steps, learning_rte learning_rate, lerning_rate learning_rate, stoch stochastic, batchs batch, lenght length, "
    "horzon horizon, unit units, bactch batch, seedd seed, step steps, ratio train_ratio",
    "families": "negatves negatives, critic critics, heads_ heads, objective objectives, encoder encoders",
    "commands": "trian train, chek check, evalute evaluate, pictur picture, doc doctor, eval evaluate",
    "recipes": "dreamr_v1 dreamer_v1, quickstat quickstart, dreamerv3 dreamer_v3, tdmpc2 tdmpc2_like",
}
OTHER_NAMES = {
    "components": "objectives critics FarInTime MyThing PredictAction InverseModel SupCon VICReg PPO foo",
    "settings": "lr gamma x dropout",
    "families": "states losses policies models",
    "commands": "plot policy tensorboard agent config",
    "recipes": "latest mine cheetah hopper my_recipe",
}


def names_of(kind: str) -> list[str]:
    every = [component for members in builtin_components().values() for component in members.values()]
    lists = {
        "components": [each.name for each in every],
        "settings": sorted({setting.name for each in every for setting in each.settings}),
        "families": [*FAMILIES],
        "commands": [*COMMANDS],
        "recipes": [recipe.name for recipe in list_recipes()],
    }
    return lists[kind]


@pytest.mark.parametrize("kind", TYPING_ERRORS)
def test_a_typing_error_gets_its_name_and_another_name_gets_none(kind: str) -> None:
    names = names_of(kind)
    for pair in TYPING_ERRORS[kind].split(", "):
        mistyped, meant = pair.split()
        assert registry.nearest(mistyped, names) == meant
    for other in OTHER_NAMES[kind].split():
        assert registry.nearest(other, names) is None, other


def test_a_class_of_another_base_is_refused() -> None:
    with pytest.raises(UserError, match=r"negatives\.PlainPart \(.*test_registry\.py:\d+\) must be a subclass of Negatives"):
        negatives.register(PlainPart)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("self, size: int", r"keyword-only parameters, and `size: int` is not one"),
        ("self, *, size: int, **others: int", r"`\*\*others: int` is not one"),
        ("self, *, size", "parameter `size` needs a type annotation"),
    ],
)
def test_a_constructor_that_no_recipe_could_bind_is_refused(signature: str, message: str, family: Registry[object]) -> None:
    namespace: dict[str, type] = {}
    exec(f"class Refused:\n    def __init__({signature}): ...", namespace)
    with pytest.raises(UserError, match=message):
        family.register(namespace["Refused"])


def test_a_function_is_refused() -> None:
    """Without the hook that checks types, which would refuse it first."""
    lines = "from framework.errors import UserError", "from framework.registry import parts"
    message = answer(*lines, "try: parts.register(len)", "except UserError as error: print(json.dumps(str(error)))")
    assert message == "`parts.register` takes a class, not <built-in function len>."


def test_a_duplicate_is_refused_by_naming_both_files(family: Registry[object]) -> None:
    family.register(PlainPart)
    other = type("PlainPart", (), {"__module__": "elsewhere", "__init__": lambda self: None})
    with pytest.raises(UserError, match=r"parts\.PlainPart is registered twice: at .*test_registry\.py:\d+ and at .*test_registry\.py:\d+"):
        family.register(other)


def test_the_name_of_a_built_in_is_taken_before_it_is_imported() -> None:
    clone = type("InBatch", (negatives.Negatives,), {"__module__": "elsewhere", "choose": InBatch.choose})
    with pytest.raises(UserError, match=r"negatives\.InBatch is registered twice: at framework/negatives/in_batch\.py:\d+ and at "):
        negatives.register(clone)
    assert negatives.registry.get("InBatch") is InBatch


def test_a_plugin_is_loaded_only_when_a_name_is_not_known_without_it(tmp_path: Path) -> None:
    """An installed distribution, real metadata and all."""
    (tmp_path / "installed_plugin.py").write_text(
        "print('loaded')\nfrom framework.registry import parts\n\n\n@parts.register\nclass InstalledPart:\n    '''An installed part.'''\n"
    )
    metadata = tmp_path / "installed-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[framework.components]\ninstalled = installed_plugin\n")
    program = (
        "from framework.registry import components, parts, plugins\n"
        "components('parts'); print('not yet')\n"
        "print(parts.get('InstalledPart').__name__, parts.describe('InstalledPart').doc, plugins()[0].distribution)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["not yet", "loaded", "InstalledPart An installed part. installed"], done.stderr


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("import sys; sys.modules['gin'] = None", "gin-config is not installed"),
        ("import sys, types; sys.modules['gin'] = gin = types.ModuleType('gin'); gin.__file__ = None", "a folder named `gin` in place of"),
        (
            "import sys, types; sys.modules['gin'] = gin = types.ModuleType('gin'); gin.__file__ = 'gin/__init__.py'",
            "finds gin/__init__.py",
        ),
    ],
)
def test_a_missing_or_hidden_gin_is_one_sentence(prepare: str, message: str) -> None:
    imported = "try: import framework.composition", "except UserError as error: print(json.dumps(str(error)))"
    refusal = answer(prepare, "from framework.errors import UserError", *imported)
    assert message in refusal
    assert "\n" not in refusal
