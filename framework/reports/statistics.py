"""Statistics over seeds and tasks, with intervals of the stratified bootstrap.

Scores are a list of arrays `[.., seeds]`, one for each task; the number of seeds may differ between tasks. Every statistic keeps the
leading axes, so that it takes all resamples at once.
Source: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, arXiv 2108.13264.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

Scores = Sequence[np.ndarray]
Values = np.ndarray | np.floating
RESAMPLES: Final = 2000
CONFIDENCE: Final = 0.95


def mean(scores: Scores) -> Values:
    """The mean over tasks of the mean over seeds."""
    return np.mean([task.mean(axis=-1) for task in scores], axis=0)


def median(scores: Scores) -> Values:
    """The median over tasks of the mean over seeds."""
    return np.median([task.mean(axis=-1) for task in scores], axis=0)


def interquartile_mean(scores: Scores) -> Values:
    """The mean of the middle half of all scores of all tasks: a quarter of them, rounded down, is left out at each end."""
    ordered = np.sort(np.concatenate(scores, axis=-1), axis=-1)
    cut = ordered.shape[-1] // 4
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def optimality_gap(scores: Scores, optimum: float = 1.0) -> Values:
    """The mean amount by which scores miss the optimum; one above it makes up for none below."""
    return optimum - np.minimum(np.concatenate(scores, axis=-1), optimum).mean(axis=-1)


def performance_profile(scores: Scores, thresholds: np.ndarray) -> Values:
    """For each threshold, the mean over tasks of the share of seeds with a score above it; the thresholds are the first axis."""
    return np.mean([np.less.outer(thresholds, task).mean(axis=-1) for task in scores], axis=0)


def probability_of_improvement(scores: Scores, others: Scores) -> Values:
    """The mean over tasks of the probability that a score is above one of the other method; a tie counts half."""
    pairs = zip(scores, others, strict=True)
    signs = [np.sign(task[..., :, None] - other[..., None, :]).mean(axis=(-2, -1)) for task, other in pairs]
    return (np.mean(signs, axis=0) + 1) / 2


def interval(statistic: Callable[..., Values], *methods: Scores, seed: int = 0) -> tuple[Values, Values] | None:
    """The 95 % interval of a statistic: its percentiles where seeds are drawn again, with replacement, within each task and method.

    None where a task has one seed: its spread is unknown, and would count as none.
    """
    if any(task.shape[-1] < 2 for scores in methods for task in scores):
        return None
    generator = np.random.default_rng(seed)
    low, high = np.quantile(
        statistic(*([_resamples(task, generator) for task in scores] for scores in methods)),
        [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2],
        axis=-1,
    )
    return low, high


def _resamples(task: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Scores `[.., resamples, seeds]`."""
    seeds = task.shape[-1]
    return task[..., generator.integers(seeds, size=(RESAMPLES, seeds))]
