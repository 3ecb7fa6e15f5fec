"""Without torchrun there is one rank: nothing of torch.distributed is used, and every function that joins ranks is the identity."""

import ast
from pathlib import Path

import torch

from framework.functional import ranks
from framework.training.job import first, first_beside, launched, own_seed, place, together_beside
from tests.members import ROOT
from tests.programs import answer

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


def test_an_update_of_one_rank_does_not_import_torch_distributed() -> None:
    """Torch itself may."""
    importers = answer(
        "import builtins",
        "from tests.members import agent_factory",
        "from framework.testing.samples import batch, seeded, specs_of, update",
        "agent, importers, original = agent_factory()(specs=specs_of('both')), [], builtins.__import__",
        "def watch(name, names=None, *rest):",
        "    importers.extend([names['__name__']] if name.startswith('torch.distributed') and names else [])",
        "    return original(name, names, *rest)",
        "builtins.__import__ = watch",
        "update(agent, batch(), seeded())",
        "print(json.dumps(importers))",
    )
    assert not [name for name in importers if name.startswith("framework")]


def test_every_join_is_the_identity() -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    for join in (ranks.gather, ranks.gather_own_first, ranks.sum_of_all, ranks.mean_of_all, ranks.largest_of_all):
        assert join(rows) is rows
    assert ranks.means_of_all([rows])[0] is rows
    assert ranks.totals(1, True) == [1.0, 1.0]
    assert (ranks.rank(), ranks.size()) == (0, 1)
    assert launched() == place() == ranks.Ranks()
    assert (first(lambda: 3), first_beside(lambda: 3), together_beside(lambda: 3)) == (3, 3, [3])
    assert own_seed(7) == 7
