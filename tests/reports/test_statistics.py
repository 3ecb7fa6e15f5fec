"""The statistics of reports against those of rliable.

rliable 1.2.0 (with arch 7.2.0, pandas 2, numpy 2.4.6) gave the numbers below for the same arrays, 50,000 resamples (20,000 for the
probability of improvement), by `get_interval_estimates`, `create_performance_profile` and its `metrics`.
"""

import numpy as np
import pytest

from framework.reports import statistics

ONE = np.array([[0.61, 0.40, 0.95], [0.70, 0.35, 0.97], [0.55, 0.52, 0.91], [0.81, 0.10, 0.96], [0.66, 0.44, 1.05]]).T
TWO = np.array([[0.50, 0.45, 0.90], [0.62, 0.30, 0.97], [0.58, 0.41, 0.80], [0.49, 0.22, 0.93], [0.71, 0.44, 0.88]]).T
"""Scores of three tasks and five seeds each."""
THRESHOLDS = np.array([0.2, 0.4, 0.5, 0.7, 0.95])
RESAMPLED = 0.012
"""What intervals of other random numbers may differ by, where scores lie dense; counts over 15 scores move by 1 / 15."""


@pytest.mark.parametrize(
    ("statistic", "scores", "value", "low", "high"),
    [
        (statistics.interquartile_mean, ONE, 0.6833333333333333, 0.63444, 0.72889),
        (statistics.median, ONE, 0.666, 0.594, 0.744),
        (statistics.mean, ONE, 0.6653333333333333, 0.61267, 0.71333),
        (statistics.optimality_gap, ONE, 0.338, 0.292, 0.39),
    ],
)
def test_an_aggregate_and_its_interval_are_those_of_rliable(statistic, scores, value, low, high):
    assert statistic(list(scores)) == pytest.approx(value, abs=1e-12)
    assert statistics.interval(statistic, list(scores)) == pytest.approx((low, high), abs=RESAMPLED)


@pytest.mark.parametrize(
    ("scores", "values", "low", "high"),
    [
        (ONE, [14 / 15, 12 / 15, 11 / 15, 6 / 15, 3 / 15], [0.8, 0.6667, 0.6667, 0.3333, 0.0667], [1.0, 0.9333, 0.8667, 0.5333, 0.3333]),
        (TWO, [1.0, 13 / 15, 8 / 15, 6 / 15, 1 / 15], [1.0, 0.7333, 0.4, 0.3333, 0.0], [1.0, 1.0, 0.6667, 0.5333, 0.2]),
    ],
)
def test_a_profile_and_its_interval_are_those_of_rliable(scores, values, low, high):
    def profile(tasks: statistics.Scores) -> statistics.Values:
        return statistics.performance_profile(tasks, THRESHOLDS)

    assert profile(list(scores)) == pytest.approx(values, abs=1e-12)
    bounds = statistics.interval(profile, list(scores))
    assert bounds is not None
    assert bounds[0] == pytest.approx(low, abs=0.07)
    assert bounds[1] == pytest.approx(high, abs=0.07)


def test_a_probability_of_improvement_and_its_interval_are_those_of_rliable():
    assert statistics.probability_of_improvement(list(ONE), list(TWO)) == pytest.approx(0.68, abs=1e-12)
    assert statistics.interval(statistics.probability_of_improvement, list(ONE), list(TWO)) == pytest.approx((0.48, 0.8667), abs=0.02)


def test_a_tie_counts_half():
    assert statistics.probability_of_improvement([np.array([1.0, 1.0])], [np.array([1.0, 2.0])]) == 0.25


def test_tasks_may_have_different_numbers_of_seeds():
    scores = [np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0])]
    assert statistics.mean(scores) == pytest.approx((2 / 3 + 1) / 2)
    assert statistics.interquartile_mean(scores) == 1.0
    low, high = statistics.interval(statistics.mean, scores) or (0, 0)
    assert low < statistics.mean(scores) < high


def test_a_task_with_one_seed_has_no_interval():
    assert statistics.interval(statistics.mean, [np.array([0.5])]) is None
    assert statistics.interval(statistics.mean, [np.array([0.5, 0.6]), np.array([0.5])]) is None


def test_the_interval_of_a_curve_is_that_of_each_of_its_points():
    curve = np.array([[0.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    low, high = statistics.interval(statistics.mean, [curve]) or (0, 0)
    assert low[1] == high[1] == 5.0
    assert (low[0], high[0]) == pytest.approx((0.0, 2.0))
