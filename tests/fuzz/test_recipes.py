"""Mutated recipes and bindings are refused with a `UserError`, or taken: no other exception, no hang, no more than a gigabyte."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from framework import composition
from framework.training.checks import check
from tests.fuzz.limits import failures, shards
from tests.fuzz.mutations import binding, mutated_text

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.gin"))
SIZES = (-1, 0, 2**31, 2**40, 2**63 - 1, 2**63)


def inputs(seeds: range, folder: Path, *, built: int) -> Iterator[tuple[object, Callable[[], object]]]:
    """A mutated recipe for each odd seed, bindings of a shipped one for each even seed; one in `built` is built too."""
    for seed in seeds:
        rng = random.Random(seed)
        recipe, bindings = rng.choice(RECIPES), list[str]()
        if seed % 2:
            text = mutated_text(recipe.read_text(encoding="utf-8"), rng)
            recipe = folder / "recipe.gin"
            recipe.write_text(text, encoding="utf-8", newline="")
        else:
            bindings = [binding(rng) for _ in range(rng.randint(1, 2))]
        read = composition.check if seed // 2 % built else check
        yield (seed, bindings), partial(read, recipe, bindings)


@pytest.mark.parametrize("seeds", shards(1_400, 100), ids=str)
def test_a_mutated_recipe_is_refused_or_taken(seeds: range, tmp_path: Path) -> None:
    assert failures(inputs(seeds, tmp_path, built=8)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("seeds", shards(60_000, 1_000), ids=str)
def test_a_mutated_recipe_is_refused_or_built(seeds: range, tmp_path: Path) -> None:
    assert failures(inputs(seeds, tmp_path, built=1)) == []


def whole_numbers() -> dict[str, tuple[Path, bool]]:
    """Every whole number that a component of a shipped recipe takes, with one such recipe, and whether it is a tuple of them."""
    numbers: dict[str, tuple[Path, bool]] = {}
    for recipe in RECIPES:
        for node in composition.plan(recipe).nodes():
            for name, setting in node.settings.items():
                if "int" in setting.parameter.annotation:
                    numbers.setdefault(f"{node.key}.{name}", (recipe, "tuple[int, ...]" in setting.parameter.annotation))
    return numbers


def sized(settings: list[str]) -> Iterator[tuple[object, Callable[[], object]]]:
    numbers = whole_numbers()
    for setting in settings or list(numbers):
        recipe, is_tuple = numbers[setting]
        for size in SIZES:
            bound = f"{setting} = {(size,) if is_tuple else size}"
            yield bound, partial(check, recipe, [bound])


def test_a_size_that_is_huge_or_less_than_one_is_refused_or_costs_nothing() -> None:
    assert failures(sized(["ImageHead.base", "ConvEncoder.channels", "GaussianRSSM.deterministic"])) == []


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_every_size_that_is_huge_or_less_than_one_is_refused_or_costs_nothing() -> None:
    assert failures(sized([])) == []


def test_the_bound_of_a_size_comes_with_the_place() -> None:
    bound = "DynamicsBackprop.layers=2147483648"
    (problem,) = check(ROOT / "recipes" / "quickstart.gin", [bound])
    assert str(problem) == (
        f"-b '{bound}': DynamicsBackprop.layers = 2147483648 is too large to be built "
        "(an agent has at most 5000 tensors of parameters); bind smaller sizes."
    )


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_of_less_than_one_is_named(size: int) -> None:
    (problem,) = check(ROOT / "recipes" / "quickstart.gin", [f"RewardHead.units={size}"])
    assert f"RewardHead.units = {size} is too small to be built (" in str(problem)
    assert str(problem).endswith("); bind larger sizes.")
