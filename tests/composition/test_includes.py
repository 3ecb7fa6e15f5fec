"""Recipes by their names, their includes, and the files that a macro chooses."""

import shutil
from pathlib import Path

import pytest

from framework.composition import list_recipes
from framework.composition.recipes import find_recipe, header
from framework.errors import UserError
from tests.composition.agents import Write, compose, problem
from tests.programs import answer

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.gin"))
AGENT = "include 'agent.gin'\n"
CHOICE = AGENT + "include 'sizes/%size.gin'\n\nsize = 'small'\nGaussianRSSM.hidden = %hidden\n"


@pytest.fixture
def recipe(write: Write) -> Path:
    """A recipe of three sizes, small by default."""
    for name, hidden in (("small", 10), ("large", 1000), ("larger", 2000)):
        write(f"sizes/{name}.gin", f"# How wide.\nhidden = {hidden}\n")
    return write("recipe.gin", CHOICE)


def hidden(recipe: str | Path, *bindings: str) -> int:
    return compose(recipe, *bindings).parameters()["GaussianRSSM.hidden"]


def test_it_lists_every_shipped_recipe_with_its_header() -> None:
    assert [recipe.path for recipe in list_recipes()] == RECIPES
    assert all(recipe.header for recipe in list_recipes())


@pytest.mark.parametrize("name", ["dreamer_v1", "dreamer_v1.gin", "recipes/dreamer_v1.gin", "recipes/dreamer_v1"])
def test_it_finds_a_shipped_recipe_from_any_folder_after_one_of_the_folder_itself(name: str, write: Write) -> None:
    assert find_recipe(name) == ROOT / "recipes" / "dreamer_v1.gin"
    own = write("recipes/dreamer_v1.gin" if "/" in name else "dreamer_v1.gin", "# own\n")
    assert find_recipe(name) == own


def test_it_names_the_recipe_nearest_to_an_unknown_name() -> None:
    with pytest.raises(UserError, match=r"There is no recipe 'dreamer_v1_infonc'; did you mean 'dreamer_v1_infonce'\? .*dreamer_v3"):
        find_recipe("dreamer_v1_infonc")


def test_it_takes_the_comment_before_the_first_statement_as_the_header(write: Write) -> None:
    assert header(write("headed.gin", "# One.\n#\n#   Two.\nAgent.horizon = 3\n# not this\n")) == "One.\n\n  Two."


def test_it_finds_recipes_and_includes_inside_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of the wheel: `gin/` and `recipes/` below `framework/_data`, and gin-config's own folder beside the package."""
    site = tmp_path / "site"
    shutil.copytree(ROOT / "framework", site / "framework", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("gin", "recipes"):
        shutil.copytree(ROOT / folder, site / "framework" / "_data" / folder)
    (site / "pyproject.toml").touch()
    names, problems = answer(
        f"sys.path.insert(0, {str(site)!r})",
        "from framework.composition import plan, list_recipes",
        "print(json.dumps([[r.name for r in list_recipes()], list(map(str, plan('recipes/dreamer_v1.gin').problems))]))",
    )
    assert (names, problems) == ([recipe.name for recipe in list_recipes()], [])


@pytest.mark.parametrize(
    ("bindings", "value"),
    [
        ((), 10),
        (("size='large'",), 1000),
        (("size='large'", "size='larger'"), 2000),
        (("size='large'", "hidden = 7"), 7),
    ],
)
def test_the_macro_in_effect_chooses_the_file(recipe: Path, bindings: tuple[str, ...], value: int) -> None:
    assert hidden(recipe, *bindings) == value


def test_a_chosen_file_may_choose_another(recipe: Path, write: Write) -> None:
    write("sizes/large.gin", "include '../kinds/%kind%size.gin'\nkind = 'very-'\n")
    write("kinds/very-large.gin", "hidden = 5000\n")
    composed = compose(recipe, "size='large'")
    assert composed.parameters()["GaussianRSSM.hidden"] == 5000
    assert [path.name for _, path in composed.plan.chosen] == ["large.gin", "very-large.gin", "very-large.gin"]


def test_a_resolved_recipe_names_the_chosen_files_and_loads_without_them(recipe: Path, write: Write) -> None:
    composed = compose(recipe, "size='large'")
    lines = composed.resolved.splitlines()
    assert "GaussianRSSM.hidden = 1000  # recipe.gin:5, hidden at sizes/large.gin:2" in lines
    assert lines[lines.index("# Chosen by a macro:") + 1] == "#   sizes/large.gin  # size at -b \"size='large'\""
    again = compose(write("alone/again.gin", composed.resolved))
    assert again.parameters() == composed.parameters()
    assert "# Chosen" not in again.resolved


@pytest.mark.parametrize(
    ("binding", "start", "end"),
    [
        ("size='lrge'", "-b \"size='lrge'\": size = 'lrge' chooses no file for include 'sizes/%size.gin' at recipe.gin:2; ", None),
        ("size='lrge'", None, "did you mean 'large'? Valid are: large, small, larger."),
        ("sice='large'", "-b \"sice='large'\": nothing reads the macro %sice; did you mean size?", None),
        ("size = 12", None, "chooses a file for the include at recipe.gin:2, so it must be text in quotes."),
        ("size=large", None, "write text in quotes ('large'), a component as @large, a macro as %large."),
    ],
)
def test_a_wrong_choice_is_one_problem(recipe: Path, binding: str, start: str | None, end: str | None) -> None:
    text = str(problem(recipe, binding))
    assert text.startswith(start or "")
    assert text.endswith(end or "")


def test_a_choice_without_a_macro_names_the_nearest(recipe: Path, write: Write) -> None:
    write("recipe.gin", CHOICE.replace("size = ", "sizes = "))
    assert str(problem("recipe.gin")) == (
        "recipe.gin:2: the include reads the macro %size, which nothing defines; did you mean 'sizes'? Valid are: RATE, sizes."
    )


def test_a_chosen_file_cannot_change_the_choice(write: Write) -> None:
    """An include that comes first defines the macro; the file that it chose, which comes later, defines it anew."""
    write("default.gin", "size = 'small'\n")
    write("sizes/small.gin", "hidden = 10\nsize = 'large'\n")
    write("sizes/large.gin", "hidden = 1000\nsize = 'small'\n")
    write("recipe.gin", AGENT + "include 'default.gin'\ninclude 'sizes/%size.gin'\nGaussianRSSM.hidden = %hidden\n")
    text = "sizes/small.gin:2: size chose this file for the include at recipe.gin:3, so it cannot be set here."
    assert str(problem("recipe.gin")) == text


def test_a_choice_that_leads_back_is_a_circle(recipe: Path, write: Write) -> None:
    write("sizes/large.gin", "include '../recipe.gin'\nhidden = 1000\n")
    circle = "sizes/large.gin:1: the includes go around in a circle: recipe.gin -> sizes/large.gin -> recipe.gin."
    assert str(problem(recipe, "size='large'")) == circle
    assert hidden(recipe) == 10


def test_names_that_a_missing_include_may_define_are_not_reported(write: Write) -> None:
    write("recipe.gin", AGENT + "include 'agnt.gin'\nGaussianRSSM.hidden = %hidden\n")
    assert "there is no file 'agnt.gin'" in str(problem("recipe.gin"))
