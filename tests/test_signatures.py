"""What is read from source is what Python would say."""

import ast
import importlib
import inspect
import shutil
from pathlib import Path

import pytest

from framework.registry import registry_of
from framework.signatures import Component, builtin_components, component_of, constructor
from tests.programs import answer

ROOT = Path(__file__).parents[1]
COMPONENTS = [component for members in builtin_components().values() for component in members.values()]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.selector)
def test_it_agrees_with_the_imported_class(component: Component) -> None:
    importlib.import_module(component.module)
    registry = registry_of(component.family)
    cls = registry.get(component.name)
    assert cls.__module__ == component.module
    assert inspect.getsourcelines(cls)[1] <= component.line
    assert component.doc == inspect.cleandoc(cls.__doc__ or "")
    signature = constructor(cls, registry.base)
    assert [each.name for each in component.parameters] == [each.name for each in signature]
    for read, real in zip(component.parameters, signature, strict=True):
        assert (read.default is None) == (real.default is inspect.Parameter.empty), read.name
        if read.default is not None and real.default is not inspect.Parameter.empty:
            assert ast.literal_eval(read.default) == real.default, read.name
    imported = component_of(cls, component.family, registry.base)
    facts = {name: value for name, value in component.facts.items() if not name.startswith("_")}
    assert {name: value for name, value in imported.facts.items() if name in facts} == facts
    assert [each.derived for each in imported.parameters] == [each.derived for each in component.parameters]
    assert [each.place for each in imported.parameters] == [each.place for each in component.parameters]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.selector)
def test_it_has_a_first_sentence_and_a_place(component: Component) -> None:
    assert 10 < len(component.summary) < 200
    assert "\n" not in component.summary
    lines = (ROOT / component.file).read_text().splitlines()
    assert lines[component.line - 1].startswith(f"class {component.name}")
    for parameter in component.parameters:
        assert parameter.name in (ROOT / parameter.file).read_text().splitlines()[parameter.line - 1]


def test_components_are_kept_between_processes_until_a_source_changes(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "framework", tmp_path / "framework", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "framework" / "__pycache__").mkdir()
    program = (
        f"sys.path.insert(0, {str(tmp_path)!r})",
        "from framework.signatures import builtin_components; from framework.signatures.source import Module",
        "print(json.dumps([list(builtin_components()['critics']), ",
        "    Module.of_file.cache_info().misses]))",
    )
    first, misses = answer(*program)
    assert (first, misses > 50) == (list(builtin_components()["critics"]), True)
    assert answer(*program) == [first, 0]
    source = (tmp_path / "framework" / "critics" / "cosine_critic.py").read_text()
    (tmp_path / "framework" / "critics" / "a_critic.py").write_text(source.replace("class CosineCritic", "class ACritic"))
    assert answer(*program)[0] == ["ACritic", *first]


def test_aliases_are_followed_to_their_file() -> None:
    activation = next(each for each in builtin_components()["encoders"]["ConvEncoder"].parameters if each.name == "activation")
    assert activation.annotation.startswith("Literal['")


def test_facts_are_inherited_where_they_are_not_overridden() -> None:
    critics = builtin_components()["critics"]
    assert critics["BilinearCritic"].facts["normalized_over"] is None
    assert critics["GaussianCritic"].facts["normalized_over"] == "latent"
    assert critics["GaussianCritic"].facts["derived"] == ("latent", "embedding_size")


def test_a_class_without_source_is_described_by_its_signature() -> None:
    namespace: dict[str, object] = {"__name__": "nowhere"}
    exec(
        'class Ghost:\n    """A ghost. Unseen."""\n    x = 3\n    def __init__(self, *, size: int, name: str = "a") -> None: ...', namespace
    )
    ghost = namespace["Ghost"]
    assert isinstance(ghost, type)
    component = component_of(ghost, "parts")
    assert [(each.name, each.annotation, each.default, each.required) for each in component.parameters] == [
        ("size", "int", None, True),
        ("name", "str", "'a'", False),
    ]
    assert (component.summary, component.facts["x"], component.builtin) == ("A ghost.", 3, False)
