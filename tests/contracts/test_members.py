"""The families of components: their members, and the places of a name."""

import inspect

import pytest

from framework.registry import registry_of
from framework.signatures import FAMILIES, builtin_components
from framework.testing import Contract
from framework.text import PACKAGE
from tests.members import PLUGINS, ROOT, contract_members, members

AT_LEAST = {
    "environments": 4,
    "vector_environments": 2,
    "encoders": 7,
    "dynamics": 5,
    "critics": 8,
    "negatives": 18,
    "bounds": 11,
    "objectives": 8,
    "heads": 6,
    "values": 4,
    "actor_critics": 8,
    "optimizers": 3,
}
CUSTOM = {"encoders": "PatchEncoder", "negatives": "NearestInTime", "actor_critics": "PolicyGradient"}


def test_every_family_has_its_members():
    assert {*AT_LEAST} == {*FAMILIES} - {"parts"}
    for family, count in AT_LEAST.items():
        assert len(builtin_components()[family]) >= count


def test_every_family_has_a_contract_test():
    contracts = {each.family for each in Contract.__subclasses__() if each.__module__.startswith("framework.testing")}
    assert contracts == {*AT_LEAST}
    assert {name: len(contract_members(name)) for name in AT_LEAST} == {name: len(members(name)) for name in AT_LEAST}


def test_custom_components_are_members_of_their_families():
    assert len(PLUGINS) == len(CUSTOM)
    for family, name in CUSTOM.items():
        assert name in members(family)


@pytest.mark.parametrize("family", AT_LEAST)
def test_one_name_has_five_places(family):
    folder = PACKAGE / family
    for component in builtin_components()[family].values():
        module = component.module.rpartition(".")[2]
        assert component.module == f"framework.{family}.{module}"
        assert module.replace("_", "") == component.name.lower()
        assert (folder / f"{module}.py").is_file()
        settings = ROOT / "gin" / family / f"{module}.gin"
        assert settings.is_file(), f"{settings} is missing"


@pytest.mark.parametrize("family", AT_LEAST)
def test_a_component_read_from_source_equals_the_imported_class(family):
    registry = registry_of(family)
    for name, component in builtin_components()[family].items():
        cls = registry.get(name)
        assert (cls.__name__, cls.__module__) == (name, component.module)
        assert issubclass(cls, registry.base)
        assert component.doc == inspect.cleandoc(cls.__doc__)
        for fact, value in component.facts.items():
            assert getattr(cls, fact) == value, f"{name}.{fact}"


@pytest.mark.parametrize("family", AT_LEAST)
def test_every_member_declares_its_derived_parameters(family):
    registry = registry_of(family)
    for name in members(family):
        component = registry.describe(name)
        assert {each.name for each in component.parameters if each.derived} <= {*component.facts["derived"]}
        assert all(each.annotation for each in component.parameters)
        assert component.summary
