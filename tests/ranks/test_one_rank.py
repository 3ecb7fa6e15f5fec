"""Without torchrun there is one rank: nothing of torch.distributed is used, and every function that joins ranks is the identity."""

import ast
import builtins
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import framework
from framework.functional import ranks
from framework.training.job import all_in_writer, first, first_in_writer, launched, own_seed, place
from tests.members import ROOT

USERS = {"framework/functional/ranks.py", "framework/training/job.py", "framework/cli/doctor.py"}


def test_two_modules_and_the_doctor_alone_import_torch_distributed_and_only_inside_functions() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "framework").rglob("*.py")
        if "torch.distributed" in imports(path, inside=True)
    }
    assert importing == USERS
    assert all("torch.distributed" not in imports(ROOT / name, inside=False) for name in importing)


def imports(path: Path, *, inside: bool) -> set[str]:
    """The modules that a file imports: at its top, or also inside of functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree)) if inside else tree.body
    return {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


def test_a_training_on_one_rank_does_not_import_torch_distributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch itself may."""
    importers, original = list[str](), builtins.__import__

    def watch(name: str, names: Mapping[str, object] | None = None, *rest: Any, **named: Any) -> Any:
        if name.startswith("torch.distributed") and names:
            importers.append(str(names["__name__"]))
        return original(name, names, *rest, **named)

    (tmp_path / "mlflow.db").mkdir()  # in the place of a store: the mirror records the run, which is quick
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(builtins, "__import__", watch)
    tiny = ROOT / "tests" / "training" / "tiny.gin"
    assert framework.compose(tiny, {"Tracking.folder": str(tmp_path), "Trainer.steps": 60}).train().progress.updates > 0
    assert not [name for name in importers if name.startswith("framework")]
    with ranks.joined(ranks.Ranks(0, 2)), pytest.raises(ValueError, match="process group"):
        ranks.totals(1)
    assert importers[-1] == "framework.functional.ranks"


def test_every_join_is_the_identity() -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    for join in (ranks.gather, ranks.gather_own_first, ranks.sum_of_all, ranks.mean_of_all, ranks.largest_of_all):
        assert join(rows) is rows
    assert ranks.means_of_all([rows])[0] is rows
    assert ranks.totals(1, True) == [1.0, 1.0]
    assert (ranks.rank(), ranks.size()) == (0, 1)
    assert launched() == place() == ranks.Ranks()
    assert (first(lambda: 3), first_in_writer(lambda: 3), all_in_writer(lambda: 3)) == (3, 3, [3])
    assert own_seed(7) == 7
