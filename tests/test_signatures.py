"""What is read from source is what Python would say."""

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from framework.registry import registry_of
from framework.signatures import FAMILIES, Component, builtin_components, component_of, constructor
from framework.signatures.source import literal

ROOT = Path(__file__).parents[1]
COMPONENTS = [component for members in builtin_components().values() for component in members.values()]


def test_every_family_has_its_members() -> None:
    counts = {family: len(members) for family, members in builtin_components().items()}
    assert list(counts) == list(FAMILIES)
    least = {"environments": 2, "encoders": 3, "critics": 3, "negatives": 5, "objectives": 2, "heads": 4, "parts": 7}
    assert {family: counts[family] for family in FAMILIES if counts[family] < least.get(family, 1)} == {}


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
            assert literal(read.default) == real.default, read.name
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


@pytest.mark.parametrize(
    ("text", "value"),
    [("5 * 10**6", 5_000_000), ("(1, 2 * 3)", (1, 6)), ("-1", -1), ("{'a': 1}", {"a": 1}), ("1 / 4", 0.25)],
)
def test_arithmetic_of_defaults_is_done(text: str, value: object) -> None:
    assert literal(text) == value


def test_code_is_no_literal() -> None:
    with pytest.raises(ValueError, match="malformed"):
        literal("float('inf')")


def test_the_two_meanings_of_critic_are_told_apart() -> None:
    assert "contrastive scores" in FAMILIES["critics"].summary.lower()
    assert "`values`" in FAMILIES["critics"].summary
    assert "`critics`" in FAMILIES["values"].summary


def test_it_imports_no_torch_and_is_fast() -> None:
    """Faster than one and a half times what Python takes to parse this package, on whatever machine."""
    program = (
        "import ast, json, pathlib, sys, time\n"
        "from framework.signatures import PACKAGE, builtin_components\n"
        "start = time.process_time()\n"
        "for path in PACKAGE.rglob('*.py'): ast.parse(path.read_text(encoding='utf-8'))\n"
        "parsed = time.process_time()\n"
        "count = sum(map(len, builtin_components().values()))\n"
        "ratio = (time.process_time() - parsed) / (parsed - start)\n"
        "print(json.dumps([count, 'torch' in sys.modules, 'gin' in sys.modules, ratio]))\n"
    )
    answers = [
        json.loads(subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert [answer[:3] for answer in answers] == [[len(COMPONENTS), False, False]] * 3
    assert min(ratio for *_, ratio in answers) < 1.5
