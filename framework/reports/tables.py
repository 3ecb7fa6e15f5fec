"""The numbers of a report as tables: evaluations, returns at fixed budgets, aggregates over tasks, runs."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from framework.reports import statistics
from framework.reports.history import FINISHED, RunHistory
from framework.reports.methods import differing
from framework.reports.published import published
from framework.reports.statistics import Scores, Values

if TYPE_CHECKING:
    from pandas import DataFrame

BUDGETS: Final = (100_000, 200_000, 500_000, 1_000_000)
"""Environment steps at which returns are published."""
CONTRASTIVE: Final = "contrastive/"
STATISTICS: Final[Mapping[str, Callable[[Scores], Values]]] = {
    "interquartile mean": statistics.interquartile_mean,
    "median": statistics.median,
    "mean": statistics.mean,
    "optimality gap": statistics.optimality_gap,
}
Runs = Mapping[str, Sequence[RunHistory]]
"""The runs of each method, all with an evaluation."""
Scored = Mapping[str, Mapping[str, np.ndarray]]
"""Normalized scores of the seeds, by method and task."""


def tasks_of(runs: Runs) -> list[str]:
    return list(dict.fromkeys(each.task for own in runs.values() for each in own))


def evaluation_table(runs: Runs) -> "DataFrame":
    """A row for each evaluation of each run: `method`, `task`, `seed`, `run`, and the columns of `RunHistory.evaluations`."""
    import pandas as pd

    of_runs = {(method, each.task, each.seed, each.name): each.evaluations for method, own in runs.items() for each in own}
    return pd.concat(of_runs, names=["method", "task", "seed", "run"]).reset_index(level=[0, 1, 2, 3]).reset_index(drop=True)


def common_budget(runs: Runs) -> int:
    """The largest step at which every finished run was evaluated; every run, where none is finished.

    Where they share none in the second half of the shortest run, it is the step that all reached.
    """
    everyone = [each for own in runs.values() for each in own]
    compared = [each for each in everyone if each.status == FINISHED] or everyone
    last = min(each.last_step for each in compared)
    shared = max(set[int].intersection(*({*each.evaluations["step"].tolist()} for each in compared)), default=0)
    return shared if 2 * shared >= last else last


def return_table(runs: Runs, common: int) -> "DataFrame":
    """Returns at the common budget and at each of `BUDGETS` that a run reached, ours and published ones.

    A row for each task, method and budget: `mean`, its 95 % interval `low` to `high` (nan with one seed), `sd`, the `seeds` that reached
    the budget, `count` `of` how many, the `episodes` of each evaluation, the steps of the `earliest` and the `latest` evaluation, the
    `kind_of_return`, and the `source` of a published row.
    """
    import pandas as pd

    last = max(each.last_step for own in runs.values() for each in own)
    budgets = sorted({common, *(budget for budget in BUDGETS if budget <= last)})
    rows: list[dict[str, Any]] = []
    for task in tasks_of(runs):
        peers = {method: [each for each in own if each.task == task] for method, own in runs.items()}
        for method, own in peers.items():
            rows += [{"task": task, "method": method} | row for budget in budgets if (row := _returns(own, budget))]
        rows += _published(task, {each.observation for own in peers.values() for each in own}, max(last, BUDGETS[0]))
    return pd.DataFrame(rows)


def _returns(runs: Sequence[RunHistory], budget: int) -> dict[str, Any]:
    """The returns of the seeds of one method on one task at a budget; empty where none reached it."""
    rows = {each.folder: row for each in runs if (row := each.at(budget)) is not None}
    if not rows:
        return {}
    returns = np.array([row["return"] for row in rows.values()])
    low, high = statistics.interval(statistics.mean, [returns]) or (math.nan, math.nan)
    return {
        "budget": budget,
        "mean": returns.mean(),
        "low": low,
        "high": high,
        "sd": returns.std(ddof=1) if len(rows) > 1 else math.nan,
        "count": len(rows),
        "of": len(runs),
        "seeds": ", ".join(map(str, sorted(each.seed for each in runs if each.folder in rows))),
        "episodes": " or ".join(f"{count:.0f}" for count in sorted({row["episodes"] for row in rows.values()})),
        "earliest": min(row["step"] for row in rows.values()),
        "latest": max(row["step"] for row in rows.values()),
        "kind_of_return": "evaluation",
        "source": "",
    }


def _published(task: str, observations: set[str], last: int) -> list[dict[str, Any]]:
    rows = published()
    rows = rows[(rows["task"] == task) & rows["observation"].isin(observations) & (rows["steps"] <= last)]
    several = rows["observation"].nunique() > 1
    return [
        {
            "task": task,
            "method": f"{row.method} ({row.observation})" if several else row.method,
            "budget": row.steps,
            "mean": row.mean,
            "sd": row.sd,
            "count": row.seeds,
            "kind_of_return": row.kind_of_return,
            "source": row.source,
        }
        for row in rows.astype({"seeds": float}).itertuples()
    ]


def scores_of(runs: Runs, common: int) -> dict[str, dict[str, np.ndarray]]:
    """The normalized scores of the seeds of each method on each task, at the common budget, on the tasks that every method reached it on.

    A score is the return over the highest return of the environment's tasks; tasks of environments without one are left out.
    """
    scores: dict[str, dict[str, np.ndarray]] = {}
    for method, own in runs.items():
        by_task: dict[str, list[float]] = {}
        for each in own:
            if each.full_scale and (row := each.at(common)) is not None:
                by_task.setdefault(each.task, []).append(float(row["return"]) / each.full_scale)
        scores[method] = {task: np.array(values) for task, values in by_task.items()}
    shared = [task for task in tasks_of(runs) if all(task in own for own in scores.values())]
    return {method: {task: own[task] for task in shared} for method, own in scores.items()} if shared else {}


def aggregate_table(scores: Scored) -> "DataFrame":
    """A row for each method and statistic over tasks: `value`, its interval `low` to `high`, `tasks` and `runs`."""
    import pandas as pd

    rows = []
    for method, by_task in scores.items():
        own = list(by_task.values())
        for name, statistic in STATISTICS.items():
            low, high = statistics.interval(statistic, own) or (math.nan, math.nan)
            counts = {"tasks": len(own), "runs": sum(map(len, own))}
            rows.append({"method": method, "statistic": name, "value": float(statistic(own)), "low": low, "high": high} | counts)
    return pd.DataFrame(rows, columns=["method", "statistic", "value", "low", "high", "tasks", "runs"])


def improvement_table(scores: Scored) -> "DataFrame":
    """A row for each pair of methods: the `probability` that a run of `method` scores above one of `over`, with its interval."""
    import pandas as pd

    rows = []
    for method, over in combinations(scores, 2):
        pair = list(scores[method].values()), list(scores[over].values())
        low, high = statistics.interval(statistics.probability_of_improvement, *pair) or (math.nan, math.nan)
        value = float(statistics.probability_of_improvement(*pair))
        rows.append({"method": method, "over": over, "probability": value, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["method", "over", "probability", "low", "high"])


def run_table(runs: Runs) -> "DataFrame":
    """A row for each run: how it ended, how far it came, its last and best evaluation, its speed, machine, commits and folder."""
    import pandas as pd

    return pd.DataFrame(
        {
            "method": method,
            "task": each.task,
            "seed": each.seed,
            "status": each.status,
            "steps": each.last_step,
            "minutes": each.evaluations["minutes"].iloc[-1],
            "last": each.evaluations["return"].iloc[-1],
            "best": each.evaluations["return"].max(),
            "best_at": int(each.evaluations["step"][each.evaluations["return"].idxmax()]),
            "episodes": each.evaluations["episodes"].iloc[-1],
            "updates_per_second": each.updates_per_second,
            "machine": each.machine,
            "commit": each.commit,
            "run": each.name,
        }
        for method, own in runs.items()
        for each in own
    )


def contrastive_table(runs: Runs) -> "DataFrame":
    """A row for each metric of a contrast and each task: for each method, the mean over seeds of the mean over the second half of a run."""
    import pandas as pd

    rows: dict[tuple[str, str], dict[str, float]] = {}
    for method, own in runs.items():
        for task in tasks_of({method: own}):
            curves = [each.curves for each in own if each.task == task]
            for metric in dict.fromkeys(name for each in curves for name in each if name.startswith(CONTRASTIVE)):
                means = [np.mean(each[metric][1][len(each[metric][1]) // 2 :]) for each in curves if metric in each]
                rows.setdefault((task, metric), {})[method] = float(np.mean(means))
    return pd.DataFrame(
        [{"task": task, "metric": metric} | means for (task, metric), means in rows.items()], columns=["task", "metric", *runs]
    )


def difference_table(runs: Runs) -> "DataFrame":
    """Every `setting` in which methods differ, and a column with its value for each method, by a run on the task that most ran on."""
    import pandas as pd

    counts = Counter(task for own in runs.values() for task in {each.task for each in own})
    typical = {method: max(own, key=lambda each: counts[each.task]).settings for method, own in runs.items()}
    keys = differing([*typical.values()])
    columns = {method: [settings.get(key, "-") for key in keys] for method, settings in typical.items()}
    return pd.DataFrame({"setting": keys, **columns})
