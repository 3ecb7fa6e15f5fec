"""The cells of a sweep: the product of recipes, values and seeds, checked in one pass."""

from pathlib import Path

import numpy as np
import pytest

import framework
from framework.errors import UserError
from framework.sweeps.api import prepare
from framework.sweeps.cells import plan_cells
from framework.sweeps.source import read_grid, read_source
from framework.sweeps.sweep import Sweep
from tests.sweeps.conftest import HERE, SIZES, TINY


def keys(*recipes: Path, **settings: object) -> list[str]:
    return [each.cell.key for each in plan_cells(read_source(recipes, **settings))]


def test_cells_are_the_product_of_recipes_values_and_seeds() -> None:
    grid = {"Agent.horizon": [2, 3], "InfoNCE.negatives": ["@negatives.InBatch", "@negatives.CrossSequence"]}
    planned = plan_cells(read_source([TINY, HERE / "small.gin"], ["Trainer.steps=900"], seeds=[0, 5], grid=grid))
    assert len(planned) == len({each.cell.key for each in planned}) == 16
    assert planned[3].cell.key == "tiny-Agent.horizon=2-InfoNCE.negatives=CrossSequence-seed=5"
    assert planned[3].cell.bindings == ("Trainer.steps=900", "Agent.horizon=2", "InfoNCE.negatives=@negatives.CrossSequence")
    assert planned[3].cell.grid == {"Agent.horizon": "2", "InfoNCE.negatives": "@negatives.CrossSequence"}
    assert (planned[3].parameters["Run.seed"], planned[3].steps, planned[3].threads) == (5, 900, 1)
    assert {each.cell.task for each in planned} == {"Counting", "cartpole_swingup"}


def test_a_zipped_grid_pairs_the_values_of_its_settings() -> None:
    paired = keys(TINY, zip=True, grid={"Agent.horizon": [2, 4], "Trainer.steps": [50, 60]})
    assert paired == ["tiny-Agent.horizon=2-Trainer.steps=50-seed=0", "tiny-Agent.horizon=4-Trainer.steps=60-seed=0"]


def test_a_file_describes_a_sweep_and_options_replace_its_settings() -> None:
    assert keys(SIZES) == [
        f"small-InfoNCE.negatives={negatives}-task=cartpole_swingup-seed={seed}"
        for negatives in ("InBatch", "CrossSequence")
        for seed in (0, 5)
    ]
    source = read_source([SIZES], ["Agent.horizon=2", "Sweep.processes=7"], seeds=1, grid={"InfoNCE.negatives": ["@negatives.Ring"]})
    (planned,) = plan_cells(source)
    assert planned.cell.bindings[:2] == ("Trainer.steps = 700", "Agent.horizon=2")
    assert planned.cell.grid == {"InfoNCE.negatives": "@negatives.Ring", "task": "cartpole_swingup"}
    assert source.sweep.processes == 7


def test_values_are_those_of_a_binding_in_python_and_gin_on_the_command_line() -> None:
    in_python = {"Agent.horizon": [np.int64(2), 3], "InfoNCE.negatives": ["@negatives.InBatch"], "DMControl.task": ["cartpole_swingup"]}
    on_command_line = read_grid([
        "Agent.horizon=[2, 3]",
        "InfoNCE.negatives=[@negatives.InBatch]",
        "DMControl.task=('cartpole_swingup',)",
    ])  # fmt: skip
    cells = [
        [each.cell for each in plan_cells(read_source([HERE / "small.gin"], {"Trainer.steps": 900}, grid=grid))]
        for grid in (in_python, on_command_line)
    ]
    assert cells[0] == cells[1]
    assert [cell.grid["Agent.horizon"] for cell in cells[0]] == ["2", "3"]
    assert cells[0][0].bindings[1:] == ("Agent.horizon=2", "InfoNCE.negatives=@negatives.InBatch", "DMControl.task='cartpole_swingup'")


def test_every_mistake_of_every_cell_comes_in_one_pass_at_the_option_that_caused_it() -> None:
    grid = {"Agent.horizn": [1], "InfoNCE.negatives": ["@negatives.InBatch", "@negatives.InBtch"]}
    with pytest.raises(UserError) as caught:
        plan_cells(read_source([TINY, HERE / "small.gin", "nowhere"], ["Trainer.stepz=9"], seeds=9, grid=grid))
    lines = str(caught.value).split("\n")
    assert [line.partition(":")[0] for line in lines] == [
        "-b 'Trainer.stepz=9'",
        "--grid 'Agent.horizn'",
        "--grid 'InfoNCE.negatives'",
        "There is no recipe 'nowhere'; the recipes here are",
    ]


def test_what_building_a_cell_refuses_comes_before_any_starts() -> None:
    with pytest.raises(UserError, match=r"^--grid 'Trainer.prefill': .* end before the first update"):
        plan_cells(read_source([TINY], grid={"Trainer.prefill": [30, 5000]}))


def test_a_mistake_in_a_file_is_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "small.gin").write_text(f"include '{HERE / 'small.gin'}'\n")
    file = tmp_path / "wrong.gin"
    file.write_text(SIZES.read_text().replace("CrossSequence", "CrosSequence").replace("Trainer.steps", "Trainer.stps"))
    with pytest.raises(UserError) as caught:
        plan_cells(read_source([file]))
    assert [line.partition(": ")[0] for line in str(caught.value).split("\n")] == [f"{file}:5", f"{file}:4"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seeds": [1, 1]}, "two cells are the same: tiny-seed=1 and tiny-seed=1 resolve to equal values"),
        ({"recipes": [TINY, TINY], "seeds": 3}, "two cells are the same: tiny-seed=0 and tiny-seed=0 resolve to equal values"),
        ({"grid": {"Agent.horizon": [2, 2]}}, "two cells are the same: tiny-Agent.horizon=2-seed=0 and tiny-Agent.horizon=2-seed=0"),
        ({"grid": {"width": [2, 3]}}, "nothing reads the macro %width"),
        ({"grid": {"Run.seed": [2, 3]}}, "write the seeds as Sweep.seeds"),
        ({"grid": {"Agent.horizon": []}}, "give each setting a value."),
        ({"grid": {"Agent.horizon": [1], "Trainer.steps": [50, 60]}, "zip": True}, "all as many, since zip pairs them"),
        ({"seeds": 0}, "Sweep.seeds = 0 be their number or a list of seeds from 0 on"),
        ({"recipes": [SIZES, TINY]}, "sizes.gin is a sweep, and no recipe: `dream sweep` runs it."),
        ({"bindings": ["Sweep.seeds=3"]}, "give the option of `dream sweep` that is called so"),
        ({"name": "a/b"}, "'a/b' cannot be the name of a folder"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_one_sentence(tmp_path: Path, settings: dict[str, object], words: str) -> None:
    name = settings.pop("name", None)
    with pytest.raises(UserError) as caught:
        prepare(read_source(**{"recipes": TINY} | settings), name=name, folder=tmp_path)
    (line,) = str(caught.value).split("\n")
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["task", "task='a'", "task=[a]", "include 'a'"])
def test_a_grid_that_is_no_list_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"^--grid .*\.$"):
        read_grid([text])


def test_a_file_of_a_sweep_is_no_recipe() -> None:
    with pytest.raises(UserError, match="is a sweep, and no recipe: `dream sweep` runs it"):
        framework.compose(SIZES)


def test_the_part_is_documented_by_its_parameters() -> None:
    assert all(f"{name}:" in (Sweep.__doc__ or "") for name in ("recipes", "seeds", "grid", "zip", "bindings", "processes"))
