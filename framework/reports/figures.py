"""The figures of a report: learning curves with their bands, estimates against returns, aggregates and profiles over tasks."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from framework.reports import statistics
from framework.reports.statistics import Scores, Values
from framework.reports.tables import Runs, Scored, aggregate_table, tasks_of
from framework.visualization.comparison import Bounds, Labels, Line, draw_intervals, draw_lines, draw_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_POINTS: Final = 300
THRESHOLDS: Final = np.linspace(0.0, 1.0, 101)
AXES: Final = {"step": "environment steps", "minutes": "minutes of training, evaluations included"}


def find_figures(runs: Runs, scores: Scored) -> "dict[str, Callable[[], Figure]]":
    """What draws each figure: `step-TASK`, `minutes-TASK` and `estimate-TASK` of each task, `aggregates` and `profiles`."""
    figures: dict[str, Callable[[], Figure]] = {}
    for task in tasks_of(runs):
        for axis, label in AXES.items():
            if lines := learning_curves(runs, task, axis):
                figures[f"{axis}-{task}"] = partial(draw_lines, lines, Labels(task, label, "evaluation return"))
        if points := estimates(runs, task):
            figures[f"estimate-{task}"] = partial(draw_points, points, Labels(task, "estimate, nats", "evaluation return"))
    if scores:
        tasks = len(next(iter(scores.values())))
        title = f"Over {tasks} tasks" if tasks > 1 else "On 1 task"
        figures["aggregates"] = partial(draw_intervals, aggregates(scores), Labels(title, "normalized return", ""))
        figures["profiles"] = partial(draw_lines, profiles(scores), Labels(title, "normalized return", "share of runs above it"))
    return figures


def learning_curves(runs: Runs, task: str, axis: str) -> dict[str, Line]:
    """The mean return on a task over `step` or `minutes` for each method, with the 95 % interval at each point.

    Returns are linear between evaluations. The mean ends where the first seed does; the seeds that go on are lines of their own.
    """
    lines = {}
    for method, own in runs.items():
        frames = [(each.seed, each.evaluations.dropna(subset=[axis])) for each in own if each.task == task]
        seeds = [str(seed) for seed, frame in frames if len(frame)]
        curves = [(frame[axis].to_numpy(float), frame["return"].to_numpy(float)) for _, frame in frames if len(frame)]
        if curves:
            names = f"seeds {', '.join(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]} alone, no interval"
            lines[f"{method} ({names})"] = _mean_line(curves)
    return lines


def _mean_line(curves: Sequence[Bounds]) -> Line:
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= first) & (grid <= last)]
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, min(len(grid), MOST_POINTS)).astype(int))]
    returns = np.stack([np.interp(grid, x, y) for x, y in curves], axis=-1)
    tails = [_from(last, x, y) if len(grid) else (x, y) for x, y in curves]
    return Line(grid, returns.mean(axis=-1), _band(statistics.mean, [returns]), [tail for tail in tails if len(tail[0]) > 1])


def _from(start: float, x: np.ndarray, y: np.ndarray) -> Bounds:
    return np.append(start, x[x > start]), np.append(np.interp(start, x, y), y[x > start])


def profiles(scores: Scored) -> dict[str, Line]:
    """The performance profile of each method, with its interval."""
    statistic = partial(statistics.performance_profile, thresholds=THRESHOLDS)
    own = {method: list(by_task.values()) for method, by_task in scores.items()}
    return {method: Line(THRESHOLDS, np.asarray(statistic(tasks)), _band(statistic, tasks)) for method, tasks in own.items()}


def _band(statistic: Callable[..., Values], tasks: Scores) -> Bounds | None:
    bounds = statistics.interval(statistic, tasks)
    return None if bounds is None else (np.asarray(bounds[0]), np.asarray(bounds[1]))


def aggregates(scores: Scored) -> dict[str, dict[str, tuple[float, Bounds | None]]]:
    """The value and the interval of each statistic over tasks, by method and statistic."""
    values: dict[str, dict[str, tuple[float, Bounds | None]]] = {}
    for row in aggregate_table(scores).itertuples():
        bounds = None if math.isnan(row.low) else (np.array(row.low), np.array(row.high))
        values.setdefault(row.method, {})[row.statistic] = row.value, bounds
    return values


def estimates(runs: Runs, task: str) -> dict[str, Bounds]:
    """Of each method that has estimates on a task, the estimates in nats and the returns of all evaluations."""
    points = {}
    for method, own in runs.items():
        pairs = [each.evaluations[["estimate", "return"]].dropna().to_numpy() for each in own if each.task == task]
        if sum(map(len, pairs)):
            points[method] = tuple(np.concatenate(pairs).T)
    return points
