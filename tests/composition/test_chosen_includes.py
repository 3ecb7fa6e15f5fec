"""Files that a macro chooses: `include 'sizes/%size.gin'`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from framework.composition import check, load
from framework.composition.includes import read
from framework.composition.problems import Problem

Write = Callable[[str, str], Path]
RECIPE = "include 'agent.gin'\ninclude 'sizes/%size.gin'\n\nsize = 'small'\nGaussianRSSM.hidden = %hidden\n"


@pytest.fixture
def recipe(write: Write) -> Path:
    """Three sizes, and a recipe that is small unless it is told otherwise."""
    for name, hidden in (("small", 10), ("large", 1000), ("larger", 2000)):
        write(f"sizes/{name}.gin", f"# How wide.\nhidden = {hidden}\n")
    return write("recipe.gin", RECIPE)


def problems(*bindings: str, recipe: str = "recipe.gin") -> list[Problem]:
    return check(recipe, bindings, root="parts.Agent")


def only(found: list[Problem]) -> str:
    assert len(found) == 1, "\n".join(map(str, found))
    return str(found[0])


@pytest.mark.parametrize(("bindings", "hidden"), [((), 10), (("size='large'",), 1000), (("size='large'", "size='larger'"), 2000)])
def test_the_value_that_holds_in_the_end_chooses(recipe: Path, bindings: tuple[str, ...], hidden: int) -> None:
    assert problems(*bindings) == []
    assert load(recipe, bindings, root="parts.Agent").parameters()["GaussianRSSM.hidden"] == hidden


def test_a_recipe_chooses_for_what_it_includes(recipe: Path, write: Write) -> None:
    write("outer.gin", "include 'recipe.gin'\nsize = 'large'\n")
    assert load("outer.gin", root="parts.Agent").parameters()["GaussianRSSM.hidden"] == 1000


def test_what_is_bound_after_the_include_still_holds(recipe: Path) -> None:
    found = load(recipe, ["size='large'", "hidden = 7"], root="parts.Agent").parameters()
    assert found["GaussianRSSM.hidden"] == 7


def test_a_chosen_file_stands_where_its_include_does(recipe: Path) -> None:
    """Its bindings come before those of the file that includes it, and after those of the includes before."""
    order = [f"{each.place.file}:{each.key}" for each in read(recipe).bindings]
    assert order.index("sizes/small.gin:hidden") == order.index("recipe.gin:size") - 1
    assert order.index("sizes/small.gin:hidden") == order.index("agent.gin:RATE") + 1


def test_a_chosen_file_may_choose_another(recipe: Path, write: Write) -> None:
    write("sizes/large.gin", "include '../kinds/%kind%size.gin'\nkind = 'very-'\n")
    write("kinds/very-large.gin", "hidden = 5000\n")
    found = load(recipe, ["size='large'"], root="parts.Agent")
    assert found.parameters()["GaussianRSSM.hidden"] == 5000
    assert [path.name for _, path in found.plan.chosen] == ["large.gin", "very-large.gin", "very-large.gin"]


def test_its_values_have_the_place_that_they_came_from(recipe: Path, write: Write) -> None:
    composed = load(recipe, ["size='large'"], root="parts.Agent")
    lines = composed.resolved.splitlines()
    assert "GaussianRSSM.hidden = 1000  # recipe.gin:5, hidden at sizes/large.gin:2" in lines
    assert lines[lines.index("# Chosen by a macro:") + 1] == "#   sizes/large.gin  # size at -b 'size='large'' (number 1)"
    again = load(write("alone/again.gin", composed.resolved), root="parts.Agent")
    assert again.parameters() == composed.parameters()
    assert "# Chosen" not in again.resolved


def test_an_unknown_choice_names_the_nearest_and_all(recipe: Path) -> None:
    said = only(problems("Agent.horizon = 3", "size='lrge'"))
    assert said.startswith("-b 'size='lrge'' (number 2): size = 'lrge' chooses no file for include 'sizes/%size.gin' at recipe.gin:2; ")
    assert said.endswith("did you mean 'large'? Valid are: large, small, larger.")


def test_an_unknown_choice_in_a_file_is_told_there(recipe: Path, write: Write) -> None:
    write("recipe.gin", RECIPE.replace("'small'", "'qq'"))
    assert only(problems()).startswith("recipe.gin:4: size = 'qq' chooses no file")
    assert only(problems()).endswith("valid are: large, small, larger.")


def test_of_two_macros_the_last_is_told_with_what_the_first_leaves_it(write: Write) -> None:
    for name in ("a/one-small", "a/one-large", "a/two-small"):
        write(f"{name}.gin", "hidden = 3\n")
    write("recipe.gin", "include 'agent.gin'\ninclude 'a/%kind-%size'\nkind = 'one'\nsize = 'tiny'\nGaussianRSSM.hidden = %hidden\n")
    assert only(problems()).endswith("valid are: large, small.")
    assert problems("size='large'") == []


def test_a_macro_that_nothing_defines_is_named(recipe: Path, write: Write) -> None:
    write("recipe.gin", RECIPE.replace("size = ", "sizes = "))
    expected = "the include reads the macro %size, which nothing defines; did you mean 'sizes'? Valid are: RATE, sizes."
    assert only(problems()) == f"recipe.gin:2: {expected}"


def test_a_misspelt_choice_is_named_though_the_recipe_has_one(recipe: Path) -> None:
    assert only(problems("sice='large'")).startswith("-b 'sice='large'' (number 1): nothing reads the macro %sice; did you mean size?")


@pytest.mark.parametrize("value", ["12", "%RATE", "['small']"])
def test_only_text_chooses(recipe: Path, value: str) -> None:
    assert "chooses a file for the include at recipe.gin:2, so it must be text in quotes." in only(problems(f"size = {value}"))


def test_a_choice_that_is_no_gin_is_told_once(recipe: Path) -> None:
    assert "write text in quotes ('large')" in only(problems("size=large"))


def test_what_was_chosen_cannot_change_the_choice(write: Write) -> None:
    """An include that comes first defines the macro; the file that it chose, which comes later, defines it anew."""
    write("default.gin", "size = 'small'\n")
    write("sizes/small.gin", "hidden = 10\nsize = 'large'\n")
    write("sizes/large.gin", "hidden = 1000\nsize = 'small'\n")
    write("recipe.gin", "include 'agent.gin'\ninclude 'default.gin'\ninclude 'sizes/%size.gin'\nGaussianRSSM.hidden = %hidden\n")
    assert only(problems()) == "sizes/small.gin:2: size chose this file for the include at recipe.gin:3, so it cannot be set here."


def test_a_choice_that_leads_back_is_a_circle(recipe: Path, write: Write) -> None:
    write("sizes/large.gin", "include '../recipe.gin'\nhidden = 1000\n")
    said = only(problems("size='large'"))
    assert said == "sizes/large.gin:1: the includes go around in a circle: recipe.gin -> sizes/large.gin -> recipe.gin."
    assert problems() == []


def test_what_a_missing_include_may_have_defined_is_not_missed(write: Write) -> None:
    write("recipe.gin", "include 'agent.gin'\ninclude 'agnt.gin'\nGaussianRSSM.hidden = %hidden\n")
    assert "there is no file 'agnt.gin'" in only(problems())
