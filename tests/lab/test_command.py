"""`dream lab` as it is called: tables, JSON, pictures, MLflow runs, and components of the user."""

import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.lab.plots import draw
from framework.measurement.report import Report, Row
from framework.registry import registry_of
from framework.tracking.runs import RUN
from tests.cli.calls import Call

BOUNDS = ("lab", "bounds", "--mutual-information", "2", "4", "--candidates", "16", "--pairs", "64")
NEGATIVES = ("lab", "negatives", "--batch", "4", "--length", "4", "--batches", "3")
CRITICS = ("lab", "critics", "--steps", "0", "--batches", "2", "--candidates", "64")
DERIVATION = ("lab", "derivation", "--only", "Eq. 7")
COST = ("lab", "cost", "--candidates", "16", "--features", "16", "--embedding", "8", "--device", "cpu")
KEYS = {"truth", "mean", "stderr", "std", "ceiling", "accuracy", "is_lower_bound", "note"}


@pytest.mark.parametrize(
    ("arguments", "kind", "ending"),
    [
        ((*BOUNDS, "--axis", "column", "--only", "FLO", "SMILE"), "bound", "png"),
        (NEGATIVES, "strategy", "pdf"),
        (CRITICS, "critic", "svg"),
        (DERIVATION, "line", "png"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_json_and_picture_are_written(call: Call, arguments: tuple[str, ...], kind: str, ending: str) -> None:
    result = call(*arguments, "--json", "deep/rows.json", "--plot", f"deep/rows.{ending}")
    assert result.exit_code == 0, result.output
    assert Path(f"deep/rows.{ending}").stat().st_size > 5000
    report = json.loads(Path("deep/rows.json").read_text())
    assert list(report) == ["rows", "setting"]
    assert report["rows"]
    assert all(next(iter(row)) == kind and row.keys() > KEYS for row in report["rows"])
    assert (report["setting"]["command"], report["setting"]["seed"]) == (arguments[1], 0)
    assert result.stdout.splitlines()[2].split()[:2] == [kind.upper(), "TRUTH"]


def test_several_values_come_after_one_option(call: Call) -> None:
    report = json.loads(call(*BOUNDS, "--only", "NWJ", "InfoNCEBound", "--json", "-").stdout)
    assert [(row["bound"], row["truth"]) for row in report["rows"]] == [*itertools.product(("NWJ", "InfoNCEBound"), (2.0, 4.0))]


def test_a_diverged_estimate_is_written_below_its_panel_and_does_not_squeeze_it() -> None:
    means = {2.0: 1.9, 4.0: -700.0, 6.0: 5.5}
    rows = [Row("FLO", {"truth": truth, "candidates": 64, "mean": mean, "std": 0.1}) for truth, mean in means.items()]
    (panel,) = draw(Report("bounds", "bound", "Bounds.", rows, {})).axes
    assert [each.get_text() for each in panel.texts if each.get_text()] == ["far below: -700 to -700 nats"]
    assert panel.get_ylim()[0] > -20


def test_a_picture_of_another_kind_is_refused_before_anything_is_measured(call: Call) -> None:
    result = call(*BOUNDS, "--plot", "rows.txt")
    assert result.exit_code == 2
    assert "must end in one of .png, .pdf, .svg" in result.output
    assert "BOUND" not in result.output


def test_track_records_an_mlflow_run(call: Call, tables: Path) -> None:
    Path("runs").mkdir()
    shutil.copy(tables, "runs")
    result = call(*NEGATIVES, "--only", "InBatch", "CrossSequence", "--track", "--json", "-")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["rows"]) == 2
    (run,) = Path("runs/laboratory").iterdir()
    record = json.loads((run / RUN).read_text())
    assert record["experiment"] == "laboratory"
    import mlflow

    client = mlflow.tracking.MlflowClient(record["tracking_uri"])
    logged = client.get_run(record["run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["batches"] == "3"
    assert {"InBatch/mean", "InBatch/truth", "CrossSequence/false_negatives"} <= set(logged.data.metrics)
    names = {each.path for each in client.list_artifacts(record["run_id"], "laboratory")}
    assert names == {"laboratory/negatives.json", "laboratory/negatives.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("bounds --candidates 64 1", "--candidates = 1 is out of range: give a number that is at least 2"),
        ("bounds --mutual-information -1", "--mutual-information = -1 is no mutual information"),
        ("bounds --mutual-information nan", "--mutual-information = nan"),
        ("negatives --batch 1 --length 1", "--batch x --length = 1"),
        ("negatives --slow-nats -1", "--slow-nats = -1"),
        ("negatives --source autoregressive --phi -1", "--phi = -1 is no correlation of a stationary process"),
        ("negatives --only CrosSequence", "did you mean 'CrossSequence'"),
        ("negatives --only InBatch -b HardWeighted.beta=2.0", "HardWeighted.beta changes nothing"),
        ("negatives -b UniformSubset.candidates=9999", "UniformSubset.candidates = 9999, and there are"),
        ("negatives -b Debiased.positive_share=1.0", "Debiased.positive_share = 1"),
        ("negatives -b HardWeighted.beta='much'", "HardWeighted.beta takes a number"),
        ("negatives -b HardWeighted.bet=2.0", "did you mean 'beta'"),
        ("negatives -b HardWeighted", "is no binding"),
        ("critics --offset -1", "--offset = -1"),
        ("critics --noise 0", "--noise = 0"),
        ("critics --only BilinearCritc", "did you mean 'BilinearCritic'"),
        ("derivation --latents 129", "--latents = 129 is out of range: give a number that is from 2 to 128"),
        ("derivation --only Eq.4", "did you mean 'Eq. 4'"),
        ("cost --candidates 13", "--candidates = 13"),
        ("cost --features 20", "--features = 20"),
        ("cost --critic BilinerCritic", "--critic BilinerCritic: there is no component"),
        ("cost --strategy InBtch", "did you mean 'InBatch'"),
    ],
)
def test_a_mistake_is_one_sentence(call: Call, arguments: str, message: str) -> None:
    small = NEGATIVES[2:] if arguments.startswith("negatives") and "--batch" not in arguments else ()
    result = call("lab", *arguments.split(), *small)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


MINE = '''
import dataclasses
import torch
from framework import critics, negatives


@negatives.register
class EveryOther(negatives.Negatives):
    """Every other step. Not a lower bound: it is a test."""

    is_lower_bound = False

    def __init__(self, *, step: int = 2, of: "Factory | None" = None) -> None:
        super().__init__(of=of)
        self.step = step

    def choose(self, contrast, key):
        return contrast.keep((contrast.candidates.time % self.step == 0)[None].expand_as(contrast.scores))


@negatives.register
class Unweighted(negatives.Negatives):
    """Log-weights that are nan."""

    def choose(self, contrast, key):
        return dataclasses.replace(contrast, log_weights=contrast.log_weights * float("nan"))


@critics.register
class Broken(critics.Critic):
    """Scores that are nan."""

    cost = "nothing"

    def __init__(self, *, latent: object, embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings):
        return torch.full((len(latents.features), len(embeddings)), float("nan"))
'''


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the user in the current folder, forgotten after the test."""
    (tmp_path / "mine_in_lab.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    for family in ("critics", "negatives"):
        monkeypatch.setattr(registry_of(family), "_classes", dict(registry_of(family)._classes))
    yield "mine_in_lab"
    sys.modules.pop("mine_in_lab", None)


def test_a_users_strategy_is_measured_and_wrong_components_are_named(call: Call, own_module: str) -> None:
    result = call(*NEGATIVES, "--import", own_module, "--only", "EveryOther", "InBatch", "--json", "-")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["strategy"] for row in rows] == ["EveryOther", "InBatch"]
    assert rows[0]["is_lower_bound"] is False
    assert rows[0]["note"] == "no bound: Not a lower bound: it is a test."
    wrong = call(*NEGATIVES, "--import", own_module, "--only", "Unweighted")
    assert wrong.exit_code == 2
    assert "Unweighted.choose gives scores or log-weights that are nan or infinite" in " ".join(wrong.output.split())
    broken = call("lab", "critics", "--import", own_module, "--only", "Broken")
    assert broken.exit_code == 2
    assert "Broken.score gives" in broken.output
    assert "nan" in broken.output
    cost = call(*COST, "--import", own_module, "--critic", "Broken", "--strategy", "InBatch", "--json", "-")
    assert "cannot go: Broken.score gives 16 of 16 scores that are nan" in json.loads(cost.stdout)["rows"][0]["note"]
