"""`dream lab` as it is called: its table, JSON, plots, runs, and components of one's own."""

import json
import shutil
from pathlib import Path

import pytest

from framework.cli.lab import _spread
from framework.lab.plots import bounds
from framework.lab.report import Report, Row
from framework.tracking.runs import RUN
from tests.cli.calls import Call, spawn

BOUNDS = ("lab", "bounds", "--mutual-information", "2", "4", "--candidates", "16", "--pairs", "64")
NEGATIVES = ("lab", "negatives", "--batch", "4", "--length", "4", "--batches", "3")
FORM = ["truth", "mean", "stderr", "std", "ceiling", "accuracy", "is_lower_bound"]


def test_json_has_the_form_that_is_promised(call: Call) -> None:
    for arguments, kind in ((BOUNDS, "bound"), (NEGATIVES, "strategy"), (("lab", "critics", "--steps", "0", "--batches", "2"), "critic")):
        report = json.loads(call(*arguments, "--json", "-").stdout)
        assert list(report) == ["rows", "setting"]
        assert report["rows"]
        for row in report["rows"]:
            assert list(row)[: len(FORM) + 1] == [kind, *FORM]
        assert report["setting"]["seed"] == 0


def test_several_values_come_after_one_option(call: Call) -> None:
    report = json.loads(call(*BOUNDS, "--only", "NWJ", "InfoNCEBound", "--json", "-").stdout)
    assert [(row["bound"], row["truth"]) for row in report["rows"]] == [
        (name, truth) for name in ("NWJ", "InfoNCEBound") for truth in (2.0, 4.0)
    ]
    repeated = call("lab", "bounds", "--mutual-information", "2", "--mutual-information", "4", *BOUNDS[5:], "--only", "NWJ", "--json", "-")
    assert len(json.loads(repeated.stdout)["rows"]) == 2


def test_values_are_spread_over_repeated_options_alone() -> None:
    given = ["--many", "1", "-2", "--one", "x", "--many=3", "-m", "4", "5"]
    spread = ["--many", "1", "--many", "-2", "--one", "x", "--many=3", "-m", "4", "-m", "5"]
    assert [*_spread(given, {"--many", "-m"})] == spread


def test_the_table_begins_with_the_truth(call: Call) -> None:
    lines = call(*BOUNDS, "--only", "NWJ", "LeaveOneOut").stdout.splitlines()
    assert lines[2].split()[:2] == ["BOUND", "TRUTH"]
    assert sum("upper bound" in line for line in lines) == 2


def test_files_are_written(call: Call) -> None:
    result = call(*NEGATIVES, "--only", "InBatch", "--json", "out/rows.json", "--plot", "out/rows.svg")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("out/rows.json").read_text())["rows"][0]["strategy"] == "InBatch"
    assert "<svg" in Path("out/rows.svg").read_text()
    assert "STRATEGY" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        ((*BOUNDS, "--axis", "column"), "png"),
        (NEGATIVES, "pdf"),
        (("lab", "critics", "--steps", "0", "--batches", "2", "--candidates", "64"), "svg"),
    ],
    ids=["bounds", "negatives", "critics"],
)
def test_it_draws(call: Call, arguments: tuple[str, ...], ending: str) -> None:
    result = call(*arguments, "--plot", f"rows.{ending}")
    assert result.exit_code == 0, result.output
    assert Path(f"rows.{ending}").stat().st_size > 5000


def test_a_bounds_plot_says_what_lies_below_it() -> None:
    """One level that diverged does not squeeze the others, and is said."""
    means = {2.0: 1.9, 4.0: -700.0, 6.0: 5.5}
    rows = [Row("bound", "FLO", truth=truth, mean=mean, std=0.1, under={"candidates": 64}) for truth, mean in means.items()]
    (panel,) = bounds(Report("bounds", "Bounds.", rows, {})).axes
    assert [each.get_text() for each in panel.texts] == ["far below: -700 to -700 nats"]
    assert panel.get_ylim()[0] > -20


def test_a_plot_of_another_kind_is_refused_before_anything_is_measured(call: Call) -> None:
    result = call(*BOUNDS, "--plot", "rows.txt")
    assert result.exit_code == 2
    assert "must end in one of .png, .pdf, .svg" in result.output
    assert "BOUND" not in result.output


def test_it_is_recorded_in_mlflow(call: Call, tables: Path) -> None:
    Path("runs").mkdir()
    shutil.copy(tables, "runs")
    result = call(*NEGATIVES, "--only", "InBatch", "CrossSequence", "--track", "--json", "-")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["rows"]) == 2
    (run,) = Path("runs/laboratory").iterdir()
    record = json.loads((run / RUN).read_text())
    assert record["experiment"] == "laboratory"
    import mlflow

    found = mlflow.tracking.MlflowClient(record["tracking_uri"]).get_run(record["run_id"])
    assert found.info.status == "FINISHED"
    assert found.data.params["batches"] == "3"
    assert {"InBatch/mean", "InBatch/truth", "CrossSequence/false_negatives"} <= set(found.data.metrics)
    names = {each.path for each in mlflow.tracking.MlflowClient(record["tracking_uri"]).list_artifacts(record["run_id"], "laboratory")}
    assert names == {"laboratory/negatives.json", "laboratory/negatives.png"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bounds", "--mutual-information", "-1"), "--mutual-information = -1 is no mutual information"),
        (("negatives", "--source", "autoregressive", "--phi", "-1"), "between -1 and 1"),
        (("negatives", "--only", "Nothing"), "there is no component of `negatives` with that name"),
        (("negatives", "--set", "UniformSubset.candidates=9999", *NEGATIVES[2:]), "UniformSubset.candidates = 9999"),
    ],
)
def test_a_mistake_is_one_sentence(call: Call, arguments: tuple[str, ...], said: str) -> None:
    result = call("lab", *arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


MINE = '''
import torch
from framework import critics, negatives


@negatives.register
class EveryOther(negatives.Negatives):
    """Every other step. Not a lower bound: it is a test."""

    is_lower_bound = False

    def __init__(self, *, step: int = 2, of: "Factory | None" = None) -> None:
        super().__init__(of=of)
        self.step = step

    def choose(self, contrast, seed):
        return contrast.keep((contrast.candidates.time % self.step == 0)[None].expand_as(contrast.scores))


@critics.register
class Broken(critics.Critic):
    """A score that is no number."""

    cost = "nothing"

    def __init__(self, *, latent: object, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings):
        return torch.full((len(latents.features), len(embeddings)), float("nan"))
'''


def test_a_strategy_of_ones_own_runs_and_a_critic_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    run = spawn(*NEGATIVES, "--import", "mine", "--only", "EveryOther", "InBatch", "--json", "-", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)["rows"]
    assert [row["strategy"] for row in rows] == ["EveryOther", "InBatch"]
    assert rows[0]["is_lower_bound"] is False
    assert rows[0]["note"] == "no bound: Not a lower bound: it is a test."
    broken = spawn("lab", "critics", "--import", "mine", "--only", "Broken", folder=tmp_path)
    assert broken.returncode == 2
    assert "Broken.score" in broken.stderr
    assert "nan" in broken.stderr
