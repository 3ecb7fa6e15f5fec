"""What stands behind the numbers of a report, in sentences: the protocol, what to beware of, what is missing, the commands."""

from collections.abc import Sequence

from framework.reports.history import FINISHED, RunHistory
from framework.reports.methods import differing
from framework.reports.selection import Selection
from framework.reports.tables import Runs, Scored, tasks_of


def protocol(runs: Runs) -> list[str]:
    """How the returns were measured."""
    everyone = [each for own in runs.values() for each in own]
    episodes, every = (sorted({int(each.settings.get(f"Evaluation.{name}", 0)) for each in everyone}) for name in ("episodes", "every"))
    intervals, counts = " or ".join(f"{each:,}" for each in every), " or ".join(map(str, episodes))
    return [
        f"Returns are those of evaluation: the mean of {counts} episode{'' if counts == '1' else 's'}, the same ones each time, with the "
        f"mode of the policy, every {intervals} environment steps, in environments apart from those of training.",
        "A return at a budget is the last evaluation at or before it, and never the best one.",
        "Steps are environment steps, action repeats counted. Seeds that did not reach a budget are in no mean at it.",
        "Intervals are at 95 %: percentiles of 2,000 bootstrap means, seeds drawn again within each task. One seed has no interval.",
    ]


def warnings(runs: Runs, budget: int, scores: Scored) -> list[str]:
    """What a reader must know before comparing numbers."""
    lines = [
        f"The estimate of {method} is no lower bound on the mutual information."
        for method, own in runs.items()
        if not all(each.is_lower_bound for each in own)
    ]
    for method, own in runs.items():
        for task in tasks_of({method: own}):
            lines += _of_seeds(f"{method} on {task}", [each for each in own if each.task == task], budget)
    unscaled = dict.fromkeys(each.task for own in runs.values() for each in own if each.full_scale is None)
    if unscaled:
        lines.append(f"Not in the aggregates, since its returns have no common scale: {', '.join(unscaled)}.")
    if not scores:
        lines.append("There is no aggregate over tasks: the methods share no task of the control suite.")
    return lines


def _of_seeds(name: str, runs: Sequence[RunHistory], budget: int) -> list[str]:
    """The warnings about the seeds of one method on one task."""
    lines = []
    seeds = sorted(each.seed for each in runs)
    if len(runs) == 1:
        lines.append(f"{name} has one seed, and so no interval.")
    if len({*seeds}) < len(seeds):
        lines.append(f"{name} has several runs of one seed, which are not independent: {', '.join(map(str, seeds))}.")
    if short := [str(each.seed) for each in runs if each.last_step < budget]:
        lines.append(f"{name}: seed {', '.join(short)} did not reach {budget:,} steps, and is not in the numbers there.")
    if changed := differing([each.settings for each in runs]):
        lines.append(f"{name} has runs that differ in {', '.join(changed)}.")
    return lines


def unfinished(selection: Selection, methods: Sequence[str]) -> list[dict[str, str]]:
    """The runs that are not finished or were never evaluated, and the cells without any metrics."""
    columns = ("method", "task", "seed", "status", "reached", "error")
    rows = [
        (method, each.task, each.seed, each.status, f"{each.reached:,} steps", each.cell.error if each.cell else "")
        for method, each in zip(methods, selection.histories, strict=True)
        if each.status != FINISHED or not len(each.evaluations)
    ]
    rows += [(cell.key, cell.task, cell.seed, cell.status, "no metrics", cell.error) for cell in selection.waiting]
    return [dict(zip(columns, ("" if value is None else str(value) for value in row), strict=True)) for row in rows]


def commands(selection: Selection) -> list[str]:
    """The command of the sweep, or those of the runs."""
    if selection.sweep:
        return [selection.sweep.command]
    return list(dict.fromkeys(each.tags["command"] for each in selection.histories if "command" in each.tags))
