"""A report of the laboratory as an MLflow run."""

import json
import os
from pathlib import Path
from typing import Final

from framework.lab.plots import draw
from framework.measurement.report import Report
from framework.tracking.base import FileEvent, MetricsEvent
from framework.tracking.runs import new_folder
from framework.tracking.tracking import Tracking

EXPERIMENT: Final = "laboratory"


def record(report: Report, folder: Path) -> str:
    """Record rows as metrics, the setting as parameters, JSON and plot as artifacts; returns the address of the run.

    The folder of the run lies in `<folder>/laboratory`, apart from those of trainings.
    """
    tracking = Tracking(folder=str(folder), experiment=EXPERIMENT)
    run_folder = new_folder(folder / EXPERIMENT, f"lab-{report.command}", int(report.setting.get("seed", 0)))
    table, plot = run_folder / f"{report.command}.json", run_folder / f"{report.command}.png"
    table.write_text(json.dumps(report.json(), indent=2), encoding="utf-8")
    draw(report).savefig(plot)
    tags = {"laboratory": report.command, "title": report.title}
    with tracking.start(run_folder=run_folder, total_steps=0, parameters=report.setting, tags=tags) as tracker:
        tracker.record(MetricsEvent(0, report.metrics()))
        tracker.record(FileEvent(table, EXPERIMENT))
        tracker.record(FileEvent(plot, EXPERIMENT))
    return tracker.url or os.fspath(run_folder)
