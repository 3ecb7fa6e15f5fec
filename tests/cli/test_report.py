"""`dream report` over runs that were really trained."""

import json
from pathlib import Path

from framework.reports.history import read_history
from framework.tracking import jsonl
from framework.tracking.runs import runs
from tests.cli.calls import Call


def test_it_writes_the_page_of_a_trained_run_with_the_runs_own_numbers(after: Call, tmp_path) -> None:
    (record,) = runs(Path("runs"))
    called = after("report", record.name, "-o", tmp_path / "out")
    assert called.exit_code == 0, called.output
    assert f"Written: {tmp_path / 'out' / 'report.html'}" in called.output
    evaluations = {
        each["step"]: each["values"]["eval/return"]
        for each in jsonl.read(record.folder)
        if each["kind"] == "metrics" and "eval/return" in each["values"]
    }
    last = max(evaluations)
    assert len(evaluations) == 2
    facts = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert facts["budget"] == last == 100
    (row,) = facts["returns"]
    assert (row["mean"], row["count"], row["seeds"], row["low"]) == (evaluations[last], 1, "3", None)
    assert (row["task"], row["method"], row["episodes"]) == ("Counting", "tiny", "2")
    assert f"Counting  tiny    100    {evaluations[last]:.1f}" in called.output
    assert "one seed" in called.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f"<strong>{evaluations[last]:,.0f}</strong>" in page
    assert "Not in the aggregates, since its returns have no common scale: Counting." in page


def test_a_trained_run_has_minutes_an_estimate_and_a_machine(after: Call) -> None:
    (record,) = runs(Path("runs"))
    history = read_history(record.folder)
    assert history.status == "finished"
    assert history.evaluations["minutes"].is_monotonic_increasing
    assert (history.evaluations["minutes"] > 0).all()
    assert history.evaluations["estimate"].notna().all()
    assert history.updates_per_second > 0
    assert history.machine.endswith(" · cpu")


def test_json_has_all_numbers_and_plain_runs_are_written_to_report(after: Call) -> None:
    called = after("report", "small", "--json")
    facts = json.loads(called.stdout)
    assert {"returns", "evaluations", "runs", "aggregates", "improvement", "warnings", "unfinished", "differences", "budget"} <= set(facts)
    assert (Path("report") / "report.html").is_file()


def test_a_tag_without_a_value_is_refused(call: Call) -> None:
    called = call("report", "--tag", "task")
    assert called.exit_code == 2
    assert "--tag task has no value: write KEY=VALUE, as in --tag task=cartpole_swingup." in called.output
