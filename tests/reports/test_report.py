"""A report: its numbers are the runs', and it says what stands behind them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import framework
from framework.errors import UserError
from framework.reports.published import published
from framework.reports.report import RunReport, report
from framework.sweeps.record import Cell, read_sweep
from tests.cli.calls import call_dream
from tests.reports.conftest import RETURNS
from tests.reports.run_folders import write_run, write_sweep

TASKS = ("cartpole_swingup", "cheetah_run")
ONE, TWO = "negatives=InBatch", "negatives=CrossSequence"


class Page(HTMLParser):
    """The rows of all tables of a page, its tags, and the addresses in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.in_cell = False
        self.feed(text)
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.rows[-1][-1] += f" {data}"


@pytest.fixture(scope="session")
def text(made: RunReport) -> str:
    assert made.page is not None
    return made.page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(text: str) -> Page:
    return Page(text)


def row_of(made: RunReport, task: str, method: str, budget: int = 100_000) -> pd.Series:
    (row,) = (row for _, row in made.table.iterrows() if (row.task, row.method, row.budget, row.source) == (task, method, budget, ""))
    return row


@pytest.mark.parametrize(
    ("task", "method"), [("cartpole_swingup", ONE), ("cheetah_run", ONE), ("cheetah_run", TWO)], ids=["swingup", "cheetah", "other"]
)
def test_a_return_at_a_budget_is_the_mean_of_the_seeds_in_the_table_and_on_the_page(made, page, task, method):
    row, returns = row_of(made, task, method), RETURNS[task, method.removeprefix("negatives=")]
    assert row["mean"] == pytest.approx(np.mean(returns))
    assert row["sd"] == pytest.approx(np.std(returns, ddof=1))
    assert min(returns) <= row["low"] < row["mean"] < row["high"] <= max(returns)
    cell = f"{np.mean(returns):.0f} {row['low']:.0f} to {row['high']:.0f} 3 seeds (0, 1, 2), 10 episodes each"
    assert [method, cell] in page.rows


def test_a_seed_that_did_not_reach_the_budget_is_in_no_mean_there(made, page, text):
    row = row_of(made, "cartpole_swingup", TWO)
    assert (row["mean"], row["count"], row["of"], row["seeds"]) == (425.0, 2, 3, "0, 1")
    assert any(cells[0] == TWO and "2 of 3 seeds (0, 1), 10 episodes each" in cells[-1] for cells in page.rows)
    assert f"{TWO} on cartpole_swingup: seed 2 did not reach 100,000 steps" in text


def test_the_budget_is_the_largest_step_at_which_all_finished_runs_were_evaluated(made, tmp_path):
    assert made.budget == 100_000, "and not 50,000, where a run failed"
    for seed, last in enumerate((250_000, 210_000, 230_000)):
        write_run(tmp_path, f"run-{seed}", {90_000: 100.0, 180_000: 200.0 + seed, last: 900.0}, seed=seed)
    compared = report("run-0", "run-1", "run-2", folder=tmp_path)
    assert compared.budget == 180_000, "where all are compared at one step, and not 210,000"
    assert [*compared.table[compared.table["source"] == ""]["budget"]] == [100_000, 180_000, 200_000]
    row = row_of(compared, "cartpole_swingup", "quickstart", 180_000)
    assert (row["mean"], row["earliest"], row["latest"]) == (201.0, 180_000, 180_000)
    row = row_of(compared, "cartpole_swingup", "quickstart", 200_000)
    assert (row["mean"], row["earliest"], row["latest"]) == (201.0, 180_000, 180_000), "the evaluations that it stands on"


def test_the_budget_is_the_step_that_all_reached_where_they_share_none_in_the_second_half(tmp_path):
    write_run(tmp_path, "one", {10_000: 100.0, 90_000: 200.0, 130_000: 300.0})
    write_run(tmp_path, "two", {10_000: 100.0, 80_000: 200.0, 110_000: 400.0}, seed=1)
    compared = report("one", "two", folder=tmp_path)
    assert compared.budget == 110_000
    row = row_of(compared, "cartpole_swingup", "quickstart", 110_000)
    assert (row["mean"], row["earliest"], row["latest"]) == (300.0, 90_000, 110_000)


def test_one_seed_has_no_interval_and_says_so(tmp_path):
    write_run(tmp_path, "alone", {100_000: 300.0})
    alone = report("alone", folder=tmp_path)
    assert np.isnan(row_of(alone, "cartpole_swingup", "quickstart")["low"])
    text = alone._repr_html_()
    assert ["quickstart", "300 1 seed, no interval (0), 10 episodes each"] in Page(text).rows
    assert "quickstart on cartpole_swingup has one seed, and so no interval." in text
    assert alone.tables["aggregates"]["low"].isna().all()
    (line,) = alone.figure("step-cartpole_swingup").axes[0].get_legend_handles_labels()[1]
    assert line == "quickstart (seed 0 alone, no interval)"


def test_published_returns_of_the_task_and_the_observation_stand_beside_with_their_sources(made, page):
    beside = made.table[made.table["source"] != ""]
    ours = published()[published()["task"].isin(TASKS) & (published()["observation"] == "pixels") & (published()["steps"] <= 100_000)]
    assert len(beside) == len(ours) == 18
    assert set(beside["source"]) == set(ours["source"])
    assert ["DreamerV3 danijar/dreamerv3, scores/dmc_vision-*", "550 ± 135 10 seeds · training"] in page.rows
    assert ["DrQ-v2 danijar/dreamerv3, scores/dmc_vision-*", "555 kind not stated"] in page.rows


def test_published_returns_from_another_observation_are_left_out(tmp_path):
    write_run(tmp_path, "named", {100_000: 300.0}, DMControl__observe="proprioception")
    beside = report("named", folder=tmp_path).table.query("source != ''")
    assert [*zip(beside["method"], beside["budget"], strict=True)] == [
        ("DreamerV3", 50_000),
        ("DreamerV3", 100_000),
        ("TD-MPC2", 100_000),
        ("SAC", 100_000),
    ]


def test_failed_and_unfinished_cells_are_listed_with_how_far_they_came(page):
    assert [TWO, "cartpole_swingup", "2", "failed", "50,000 steps", "The loss is <nan> at step 61,000."] in page.rows
    assert ["quickstart-task=walker_walk-seed=0", "walker_walk", "0", "waiting", "no metrics", ""] in page.rows


def test_of_a_sweep_that_was_killed_no_cell_is_running_and_what_finished_since_is_finished(tmp_path):
    folder = tmp_path / "killed"
    write_run(folder, "a", {50_000: 100.0}, status=None)
    write_run(folder, "b", {50_000: 100.0}, seed=1)
    write_run(folder, "c", {50_000: 100.0}, task="cheetah_run", recipe="dreamer_v1")
    cells = [
        Cell(key, recipe, (), {}, task, seed, folder=key, status="running")
        for key, recipe, task, seed in (
            ("a", "quickstart", "cartpole_swingup", 0),
            ("b", "quickstart", "cartpole_swingup", 1),
            ("c", "dreamer_v1", "cheetah_run", 0),
            ("d", "dreamer_v1", "cheetah_run", 1),
        )
    ]
    write_sweep(folder, cells)
    command = call_dream("report", "killed", "--folder", tmp_path)
    assert command.exit_code == 0, command.output
    assert [line.split() for line in command.stdout.partition("Not finished:\n")[2].splitlines()[1:3]] == [
        ["quickstart", "cartpole_swingup", "0", "waiting", "50,000", "steps"],
        ["d", "cheetah_run", "1", "waiting", "no", "metrics"],
    ]
    assert pd.read_csv(folder / "report" / "runs.csv")["status"].tolist() == ["waiting", "finished", "finished"]


def test_a_table_without_rows_has_its_columns(tmp_path):
    write_run(tmp_path, "alone", {100_000: 300.0})
    report("alone", folder=tmp_path, out=tmp_path / "out")
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "out").glob("*.csv")}
    assert {name for name, table in tables.items() if table.empty} == {"improvement", "contrastive", "differences"}
    assert all(len(table.columns) for table in tables.values())


def test_a_run_without_an_end_is_unfinished(tmp_path):
    write_run(tmp_path, "one", {100_000: 300.0})
    write_run(tmp_path, "two", {60_000: 300.0}, seed=1, status=None)
    write_run(tmp_path, "three", {}, seed=2, status="KILLED")
    rows = Page(report("one", "two", "three", folder=tmp_path)._repr_html_()).rows
    assert ["quickstart", "cartpole_swingup", "1", "unfinished", "60,000 steps", ""] in rows
    assert ["quickstart", "cartpole_swingup", "2", "killed", "0 steps", ""] in rows


def test_the_page_needs_no_network_and_no_script(page, made):
    assert len(page.addresses) == len(made.figures) == 8
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert not page.tags & {"script", "link", "iframe", "object", "form"}
    assert "style" in page.tags


def test_the_page_has_the_commands_the_protocol_the_machine_and_the_commits(text, page, sweep_folder):
    assert read_sweep(sweep_folder).command in text
    assert "the mean of 10 episodes, the same ones each time, with the mode of the policy, every 10,000 environment steps" in text
    assert "the last evaluation at or before it, and never the best one" in text
    (row,) = (row for row in page.rows if row[:3] == [ONE, "cheetah_run", "1"])
    assert row[3:11] == ["finished", "100,000", "10.0", "310", "310 (100,000)", "7.5", "vm · cpu", "0123456789 fedcba9876+"]


def test_the_settings_in_which_methods_differ_are_listed_and_no_others(made, page):
    assert ["InfoNCE.negatives", "@negatives.InBatch", "@negatives.CrossSequence"] in page.rows
    assert made.tables["differences"]["setting"].tolist() == ["InfoNCE.negatives"]


def test_contrastive_metrics_of_methods_are_side_by_side(tmp_path):
    write_run(tmp_path, "row", {50_000: 100.0, 100_000: 500.0}, estimate=2.0)
    write_run(tmp_path, "second", {50_000: 100.0, 100_000: 1000.0}, seed=1, estimate=2.0)
    write_run(tmp_path, "column", {50_000: 100.0, 100_000: 500.0}, estimate=4.0, InfoNCE__axis="column")
    write_run(tmp_path, "decoder", {50_000: 100.0, 100_000: 500.0}, recipe="quickstart_reconstruction")
    made = report("row", "second", "column", "decoder", folder=tmp_path, out=tmp_path / "out")
    rows = Page(made.page.read_text(encoding="utf-8")).rows
    columns = next(row for row in rows if row[0] == "metric")
    (estimates,) = (row for row in rows if row[0] == "contrastive/estimate")
    assert dict(zip(columns, estimates, strict=True)) == {
        "metric": "contrastive/estimate",
        "quickstart axis=-": "3.500",
        "quickstart axis=column": "5.000",
        "quickstart_reconstruction": "-",
    }


def test_pictures_tables_and_numbers_are_beside_the_page(made):
    folder = made.page.parent
    assert {path.name for path in folder.glob("*.png")} == {f"{name}.png" for name in made.figures}
    assert {path.name for path in folder.glob("*.csv")} == {
        f"{name}.csv" for name in ("returns", "evaluations", "runs", "aggregates", "improvement", "contrastive", "differences")
    }
    returns = pd.read_csv(folder / "returns.csv", keep_default_na=False, na_values={"mean": [""]})
    assert returns["mean"].tolist() == pytest.approx(made.table["mean"].tolist())
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [row["mean"] for row in facts["returns"]] == pytest.approx(made.table["mean"].tolist())
    assert facts["budget"] == 100_000
    assert len(facts["evaluations"]) == 2 * 3 * 4 - 1


def test_aggregates_are_those_of_the_scores_of_all_tasks(made, page):
    first = np.array([RETURNS[task, "InBatch"] for task in TASKS]) / 1000
    rows = {row.statistic: row for row in made.tables["aggregates"].itertuples() if row.method == ONE}
    middle = np.sort(first.ravel())[1:-1]
    assert rows["interquartile mean"].value == pytest.approx(middle.mean())
    assert rows["mean"].value == pytest.approx(first.mean())
    assert rows["median"].value == pytest.approx(np.median(first.mean(axis=1)))
    assert rows["optimality gap"].value == pytest.approx(1 - first.mean())
    assert {(row.tasks, row.runs) for row in rows.values()} == {(2, 6)}
    assert any(cells[0] == f"{ONE} 6 runs" and cells[1].startswith(f"{middle.mean():.3f} ") for cells in page.rows)
    (pair,) = made.tables["improvement"].itertuples()
    assert (pair.method, pair.over, pair.probability) == (ONE, TWO, 0.5), "always better on one task, never on the other"


def test_tasks_without_a_common_scale_are_in_no_aggregate(tmp_path):
    for seed in range(2):
        write_run(tmp_path, f"run-{seed}", {100_000: -80.0}, task="", seed=seed, Gymnasium__task="Pendulum-v1", DMControl__observe="")
    other = report("run-0", "run-1", folder=tmp_path)
    assert other.tables["aggregates"].empty
    assert {name.partition("-")[0] for name in other.figures} == {"step", "minutes"}
    assert "Not in the aggregates, since its returns have no common scale: Pendulum-v1." in other._repr_html_()


def test_only_methods_with_an_estimate_are_drawn_against_it(tmp_path):
    write_run(tmp_path, "one", {50_000: 200.0, 100_000: 300.0}, estimate=2.0)
    write_run(tmp_path, "two", {100_000: 300.0}, recipe="quickstart_reconstruction")
    figure = report("one", "two", folder=tmp_path).figure("estimate-cartpole_swingup")
    ((line,), (label,)) = figure.axes[0].get_legend_handles_labels()
    assert (label, [*line.get_xdata()], [*line.get_ydata()]) == ("quickstart", [2.4, 2.6], [200.0, 300.0])


def test_an_estimate_that_is_no_lower_bound_is_named(tmp_path):
    write_run(tmp_path, "one", {100_000: 300.0}, estimate=2.0)
    write_run(tmp_path, "two", {100_000: 300.0}, estimate=2.0, is_lower_bound=False, recipe="hard")
    page = report("one", "two", folder=tmp_path)._repr_html_()
    assert "The estimate of hard is no lower bound on the mutual information." in page
    assert "The estimate of quickstart" not in page


def test_a_mean_curve_ends_with_its_first_seed_and_the_others_go_on_alone(tmp_path):
    write_run(tmp_path, "one", {50_000: 200.0, 100_000: 300.0})
    write_run(tmp_path, "two", {50_000: 100.0, 100_000: 200.0, 150_000: 400.0}, seed=1, steps_per_minute=5_000)
    both = report("one", "two", folder=tmp_path)
    mean, tail = both.figure("step-cartpole_swingup").axes[0].lines
    assert (mean.get_label(), mean.get_xdata().tolist()) == ("quickstart (seeds 0, 1)", [50_000, 100_000])
    assert mean.get_ydata().tolist() == [150.0, 250.0]
    assert (tail.get_xdata().tolist(), tail.get_ydata().tolist()) == ([100_000, 150_000], [200.0, 400.0])
    minutes = both.figure("minutes-cartpole_swingup").axes[0].lines[0]
    assert minutes.get_xdata().tolist() == [10.0], "where both have evaluations: from 10 minutes on, and up to 10"


def test_runs_of_one_seed_are_named(tmp_path):
    for name in ("one", "two"):
        write_run(tmp_path, name, {100_000: 300.0})
    assert "quickstart on cartpole_swingup has several runs of one seed" in report("one", "two", folder=tmp_path)._repr_html_()


def test_a_notebook_has_the_page_and_the_table_and_draws_the_same_plots(made, text):
    def without_time(page: str) -> str:
        return re.sub(r"written [^<]* by", "", page)

    assert without_time(made._repr_html_()) == without_time(text)
    assert isinstance(made.table, pd.DataFrame)
    assert made.figure("aggregates").axes
    with pytest.raises(UserError, match="no figure 'step-cartpol_swingup'; did you mean 'step-cartpole_swingup'"):
        made.figure("step-cartpol_swingup")


def test_it_is_written_where_one_says_and_for_plain_runs_only_there(tmp_path):
    write_run(tmp_path, "one", {100_000: 300.0})
    assert framework.report("one", folder=tmp_path).page is None
    assert framework.report("one", folder=tmp_path, out=tmp_path / "here").page == tmp_path / "here" / "report.html"
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(UserError, match=r"cannot be written to .*file \(File exists\): give another folder with -o"):
        framework.report("one", folder=tmp_path, out=blocked)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["negatvies"], "There is no run 'negatvies' in .*; the sweeps there are: none."),
        ([], "Nothing is named: `dream report SWEEP`"),
        (["untrained"], "No run of untrained has an evaluation: train beyond the prefill"),
        (["one", "other"], r"neither a method nor a task in common \(quickstart on cartpole_swingup, dreamer_v1 on cheetah_run\)"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, names: list[str], sentence: str):
    write_run(tmp_path, "untrained", {})
    write_run(tmp_path, "one", {100_000: 300.0})
    write_run(tmp_path, "other", {100_000: 300.0}, recipe="dreamer_v1", task="cheetah_run")
    with pytest.raises(UserError, match=sentence) as caught:
        report(*names, folder=tmp_path)
    assert "\n" not in caught.value.message
