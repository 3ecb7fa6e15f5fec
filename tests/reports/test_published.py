"""The published returns that a report prints beside ours."""

import pytest

from framework.reports.published import published


def test_every_number_of_every_source_is_there():
    counts = published().groupby("source").size().to_dict()
    assert counts == {
        "danijar/dreamer, scores/dreamer.json; taken 5,000 steps later": 9 * 4,
        "danijar/dreamerv3, scores/dmc_vision-*": 9 * 4 + 9 * 4 + 7 * 4,
        "DreamerPro's repository": 12 * 3 * 4,
        "danijar/dreamerv3, scores/dmc_proprio-dreamerv3": 8 * 4,
        "nicklashansen/tdmpc2, results/": 8 * 3 + 7 * 3,
        "second-hand: COVR, table 4": 6 * 4,
        "second-hand aggregate": 2 * 2 + 4,
    }
    assert len(published()) == 389


def test_each_column_has_its_type():
    kinds = {name: str(kind) for name, kind in published().dtypes.items()}
    assert {name: kinds[name] for name in ("steps", "mean", "sd", "seeds")} == {
        "steps": "int64",
        "mean": "float64",
        "sd": "float64",
        "seeds": "Int64",
    }
    assert list(kinds) == ["task", "observation", "method", "steps", "mean", "sd", "seeds", "kind_of_return", "source"]
    texts = published()[["task", "observation", "method", "kind_of_return", "source"]]
    assert not texts.isna().to_numpy().any()
    assert set(published()["kind_of_return"]) == {"evaluation", "training", "not stated"}
    assert set(published()["observation"]) == {"pixels", "proprioception", "pixels, natural background"}
    assert published()["mean"].between(0, 1000).all()


@pytest.mark.parametrize(
    ("task", "observation", "method", "source", "steps", "mean", "sd"),
    [
        ("cartpole_swingup", "pixels", "Dreamer V1", "danijar/dreamer,", 200_000, 342, 228),
        ("cartpole_swingup", "pixels", "DreamerV3", "danijar/dreamerv3", 100_000, 550, 135),
        ("cartpole_swingup", "pixels", "Dreamer V1", "second-hand: COVR", 100_000, 326, None),
        ("walker_run", "pixels, natural background", "TPC", "DreamerPro", 1_000_000, 158, None),
        ("pendulum_swingup", "proprioception", "DreamerV3", "danijar/dreamerv3", 490_000, 788, None),
        ("walker_walk", "proprioception", "SAC", "nicklashansen", 500_000, 939, None),
    ],
)
def test_a_number_is_that_of_its_source(task, observation, method, source, steps, mean, sd):
    rows = published().query("task == @task and observation == @observation and method == @method and steps == @steps")
    (row,) = rows[rows["source"].str.startswith(source)].itertuples()
    assert row.mean == mean
    assert (row.sd == sd) if sd else row.sd != row.sd


def test_no_number_is_there_twice():
    assert not published().duplicated(["task", "observation", "method", "steps", "source"]).any()
