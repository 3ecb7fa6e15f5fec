import numpy as np
import pytest
from dm_env import specs

from framework.environments.actions import MOST_OPTIONS, action_form, one_hot
from framework.errors import UserError
from framework.specs import ActionSpec
from framework.vector_environments.base import random_actions

SQUARE = specs.BoundedArray((2, 2), np.uint8, 5, [[6, 7], [8, 5]])


@pytest.mark.parametrize(
    ("spec", "action", "native"),
    [
        (specs.BoundedArray((3,), np.float64, -3, 5), [1, -1, 0.25], [5, -3, 2]),
        (specs.BoundedArray((2, 1), np.float64, [[0], [-2]], 2), [0.5, 0.5], [[1.5], [1]]),
        (specs.BoundedArray((2,), np.float64, [-1e10, 0], [1e10, 4]), [0.5, 0.5], [0.5, 3]),
        (specs.Array((3,), np.float64), [0.25] * 3, [0.25] * 3),
        (specs.BoundedArray((), np.float32, 0, 2), [0.8], 1.8),
        (specs.BoundedArray((1,), np.float64, 0, 10), [[1.5], [-7], [0]], [[10], [0], [5]]),
    ],
    ids=["scaled", "of_several_axes", "partly_without_limits", "without_limits", "a_lone_one", "clipped_in_each_row"],
)
def test_numbers_are_scaled_to_the_native_range(spec, action, native):
    form = action_form("Maze", spec)
    scaled = form.native(np.array(action))
    np.testing.assert_allclose(scaled, native, atol=1e-12 if spec.dtype == np.float64 else 1e-6)
    assert scaled.dtype == spec.dtype
    assert ActionSpec.of(form.spec) == ActionSpec(kind="continuous", sizes=(int(np.prod(spec.shape)),))


@pytest.mark.parametrize(
    ("spec", "kind", "sizes", "action", "native"),
    [
        (specs.BoundedArray((2,), np.int32, -7, [-6, -4]), "multi_discrete", (2, 4), [0, 1, 0, 0, 0, 1], [-6, -4]),
        (SQUARE, "multi_discrete", (2, 3, 4, 1), [[0, 1, 0, 0, 1, 1, 0, 0, 0, 1]], [[[6, 7], [5, 5]]]),
        (specs.BoundedArray((2,), np.bool_, False, True), "multi_discrete", (2, 2), [1, 0, 0, 1], [False, True]),
        (specs.DiscreteArray(3), "discrete", (3,), [[0.1, 0.2, 0.7], [1, 0, 0]], [2, 0]),
        (specs.BoundedArray((), np.int64, 4, 6), "discrete", (3,), [0.1, 0.7, 0.2], 5),
    ],
    ids=["several", "of_several_axes", "boolean", "a_batch_of_lone_ones", "a_lone_one"],
)
def test_one_hot_groups_are_the_integers_that_they_choose(spec, kind, sizes, action, native):
    form = action_form("Maze", spec)
    chosen = form.native(np.array(action, np.float32))
    np.testing.assert_array_equal(chosen, native)
    assert isinstance(chosen, int) if isinstance(native, int) else chosen.dtype == spec.dtype
    assert ActionSpec.of(form.spec) == ActionSpec(kind=kind, sizes=sizes)


@pytest.mark.parametrize("action", [np.zeros(3), np.array([0.0, np.nan, 0, 0, 0]), np.full(5, np.inf), np.zeros(())])
@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (specs.BoundedArray((5,), np.float64, -1, 1), r"in \[-1, 1\]"),
        (specs.BoundedArray((2,), np.int64, 0, [1, 2]), r"in groups of \(2, 3\)"),
    ],
)
def test_a_wrong_action_is_refused(spec, kind, action):
    with pytest.raises(ValueError, match=f"5 finite numbers {kind}"):
        action_form("Maze", spec).native(action)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (specs.Array((2,), np.int64), "Maze takes integers without bounds"),
        ({"wheels": SQUARE}, "an action must be one array; wrap it"),
        (specs.BoundedArray((2, 9), np.int16, -(2**15), 2**15 - 1), "int16 of shape (2, 9) from -32768 to 32767: 1,179,648 options"),
        (specs.BoundedArray((), np.uint64, 0, 2**64 - 1), "from 0 to 18446744073709551615: 18,446,744,073,709,551,616 options"),
    ],
    ids=["integers_without_bounds", "several_arrays", "a_large_range_of_several_axes", "a_lone_full_range"],
)
def test_what_has_no_vector_is_refused(spec, words):
    with pytest.raises(UserError) as raised:
        action_form("Maze", spec)
    assert words in str(raised.value)


def test_a_large_choice_is_one_hot_without_a_square_of_it():
    """A matrix of 65,536 x 65,536 would take 17 GB."""
    form = action_form("Maze", specs.DiscreteArray(MOST_OPTIONS))
    vector = one_hot(np.array([[MOST_OPTIONS - 1]]), form.sizes)
    assert (vector.shape, vector.dtype, vector.sum()) == ((1, MOST_OPTIONS), np.float32, 1)
    assert form.native(vector[0]) == MOST_OPTIONS - 1
    assert random_actions(ActionSpec.of(form.spec), 2, np.random.default_rng(0)).sum() == 2
