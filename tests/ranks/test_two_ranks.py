"""Two ranks with half of a batch each are one process with all of it: losses, gradients and parameters over three updates.

Two processes on a CPU train every case together, once for all tests; nothing of a component knows that they do.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from framework.registry import registry_of
from tests.members import members
from tests.ranks.cases import CASES, LOCAL, SIZE
from tests.ranks.joining import rows

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)  # the first test waits for both processes, which take half a minute each of a free processor
Results = dict[str, Any]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the two processes wrote, by the names of files and ranks; they run once for all workers of the tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ranks"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "trained.lock"):
        if not (folder / "trained").exists():
            command = [sys.executable, "-m", "tests.ranks.worker", str(folder)]
            processes = [subprocess.Popen([*command, str(rank)], cwd=ROOT, stderr=subprocess.PIPE, text=True) for rank in range(SIZE)]
            errors = [process.communicate(timeout=880)[1] for process in processes]
            assert [process.returncode for process in processes] == [0] * SIZE, "\n".join(errors)
            (folder / "trained").touch()
    return {path.stem: torch.load(path) for path in folder.glob("*.pt")}


def differs(value: Any, expected: Any, precision: float) -> bool:
    """Whether two numbers or tensors differ by more than the rounding of sums of numbers as large as the largest, or 0.1."""
    one, other = (torch.as_tensor(each, dtype=torch.float64) for each in (value, expected))
    return bool(((one - other).abs() > precision * (0.1 + other.abs().max())).any()) if other.numel() else False


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_train_as_one_process_with_all_rows(name: str, results: Results) -> None:
    first, second = results["together-0"][name], results["together-1"][name]
    alone = (results["alone-0"] | results["alone-1"])[name]
    assert len(alone["metrics"]) == 4
    assert len(alone["gradients"]) >= 3 * 10
    if name.startswith("blocks"):
        alone["metrics"][-1] = first["metrics"][-1]  # the diagnostics are those of each rank's first block
    for there, whole in zip(first["metrics"], alone["metrics"], strict=True):
        assert [key for key in whole if differs(there[key], whole[key], 1e-5)] == []
    assert not any(differs(one, other, 1e-4) for one, other in zip(first["gradients"], alone["gradients"], strict=True))
    assert [key for key, value in alone["state"].items() if differs(first["state"][key], value, 1e-5)] == []
    assert first["metrics"] == second["metrics"]
    assert all(torch.equal(value, second["state"][key]) for key, value in first["state"].items())


@pytest.mark.parametrize("rank", range(SIZE))
@pytest.mark.parametrize("name", LOCAL)
def test_local_candidates_give_the_losses_of_a_process_with_the_rows_of_one_rank(name: str, rank: int, results: Results) -> None:
    (local, gathered), own = results[f"local-{rank}"][name], results[f"own-{rank}"][name]
    contrasted = [key for key in own if key not in ("consistency", "centering")]
    assert all(torch.equal(local[key], own[key]) for key in contrasted)
    assert not any(torch.allclose(gathered[key], own[key]) for key in contrasted)
    assert contrasted


def test_every_objective_strategy_bound_and_behavior_is_a_case() -> None:
    for family in ("objectives", "negatives", "critics", "actor_critics", "dynamics", "optimizers"):
        assert {f"{family}.{name}" for name in members(family)} <= {*CASES}
    trained = {name for name in members("bounds") if registry_of("bounds").get(name).side != "upper"}
    assert {f"bounds.{name}" for name in trained} <= {*CASES}
    assert len(CASES) > 60


@pytest.mark.parametrize("rank", range(SIZE))
def test_gathered_rows_have_the_gradients_of_their_copies_on_all_ranks(rank: int, results: Results) -> None:
    """Neither a mean of them, nor those of one rank, nor those of another's rows."""
    whole, joined = torch.cat([rows(0), rows(1)]), results[f"joining-{rank}"]
    assert torch.equal(joined["gather"]["value"], whole)
    assert torch.equal(joined["gather_own_first"]["value"], whole.roll(-3 * rank, dims=0))
    weight = 1 + torch.arange(12.0).reshape(6, 2)
    assert torch.equal(joined["gather"]["gradient"], 3 * weight[3 * rank : 3 * rank + 3])
    own_first = weight + 2 * weight.roll(3, dims=0)
    assert torch.equal(joined["gather_own_first"]["gradient"], own_first[3 * rank : 3 * rank + 3])
    assert torch.equal(joined["flags"], torch.tensor([True, True, True, False]))


@pytest.mark.parametrize("rank", range(SIZE))
def test_sums_and_means_have_the_gradients_of_their_copies_on_all_ranks(rank: int, results: Results) -> None:
    total, joined, weight = rows(0) + rows(1), results[f"joining-{rank}"], 1 + torch.arange(6.0).reshape(3, 2)
    assert torch.equal(joined["sum_of_all"]["value"], total)
    assert torch.equal(joined["sum_of_all"]["gradient"], 3 * weight)
    assert torch.equal(joined["mean_of_all"]["value"], total / 2)
    assert torch.equal(joined["mean_of_all"]["gradient"], 3 * weight / 2)
    assert torch.equal(joined["largest"], rows(1))
    assert joined["totals"] == [2.0, 1.0, 1.0]
    assert torch.equal(joined["means"][0], total / 2)
    assert torch.equal(joined["means"][1], total[0] / 2)
    assert torch.equal(joined["alone"], rows(rank))


def test_the_gradients_of_each_group_are_averaged_by_one_reduction(results: Results) -> None:
    reduced, groups = results["reductions-0"]
    assert [reduced.count(size) for size in groups] == [1, 1, 1]


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_each_rank_draws_the_numbers_of_its_own_rows(draw: str, results: Results) -> None:
    drawn = [results[f"joining-{rank}"] for rank in range(SIZE)]
    assert torch.equal(torch.cat([each[draw] for each in drawn]), drawn[0][f"whole {draw}"])


def test_rows_are_numbered_over_all_ranks(results: Results) -> None:
    first, second = (results[f"joining-{rank}"]["origin"] for rank in range(SIZE))
    assert first["row"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert second["row"].tolist() == [2, 2, 2, 3, 3, 3, 0, 0, 0, 1, 1, 1]
    assert second["episode"].tolist() == [1] * 6 + [0] * 6
    assert first["rows"] == second["rows"] == 4
