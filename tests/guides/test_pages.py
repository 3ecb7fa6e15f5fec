"""The guides to extending: each page is followed word for word in an empty folder; what trains is made short by bindings at the end."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides.pages import GUIDES, follow, pages

PAGES = [*pages()]
SHORT = ("Trainer.updates=3", "Trainer.prefill=200", "Trainer.pretrain=2", "Evaluation.episodes=1", "Evaluation.max_steps=80")
SHORT += ("Replay.batch=4", "Replay.length=8", "Agent.horizon=3")
PREFIXES = re.findall(r"^\| `(\w+)/` \|", (GUIDES / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
ALIGNED = "Rows of a batch are aligned as [`framework/data.py`]"


def logged(mirror: Path) -> set[str]:
    """The prefixes of the metrics of a run; MLflow alone adds those of the machine."""
    records = map(json.loads, mirror.read_text(encoding="utf-8").splitlines())
    return {name.partition("/")[0] for record in records if record["kind"] == "metrics" for name in record["values"]}


def test_there_is_a_page_for_each_thing_to_add() -> None:
    assert {page.name for page in PAGES} == {"idea.md"} | {
        f"{each}.md" for each in ("objective", "critic", "bound", "strategy", "environment", "package")
    }


SLOW = ("dream test", "dream train", "dream evaluate", "dream lab")
"""What `make test` runs of one page alone, and `make test-all` of every one."""


def walks() -> Iterator[object]:
    for page in PAGES:
        whole = page.stem == "idea"
        yield pytest.param(page, () if whole else SLOW, id=page.stem)
        if not whole:
            yield pytest.param(page, (), id=f"{page.stem}-whole", marks=pytest.mark.nightly)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("page", "without"), [*walks()])
def test_whoever_follows_a_page_arrives(page: Path, without: tuple[str, ...], tmp_path: Path, tables: Path) -> None:
    folder = tmp_path / "empty"
    (folder / "runs").mkdir(parents=True)
    shutil.copy(tables, folder / "runs")
    follow(page, folder, without=without, short=SHORT)
    if page.stem == "idea":
        (mirror,) = folder.glob("runs/*/metrics.jsonl")
        assert logged(mirror) | {"system"} == {*PREFIXES}, "the glossary has every prefix of a metric"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_alignment_and_axes(page: Path) -> None:
    assert page.read_text(encoding="utf-8").split("\n\n")[1].startswith(ALIGNED)
