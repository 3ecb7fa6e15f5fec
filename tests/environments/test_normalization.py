import numpy as np
import pytest
from dm_env import specs

from framework.data import ActionSpec
from framework.environments import normalization
from framework.environments.normalization import action_form
from framework.errors import UserError

SQUARE = specs.BoundedArray((2, 2), np.uint8, 5, [[6, 7], [8, 5]])


@pytest.mark.parametrize(
    ("spec", "action", "native"),
    [
        (specs.BoundedArray((3,), np.float64, -3, 5), [1, -1, 0.25], [5, -3, 2]),
        (specs.BoundedArray((2, 1), np.float64, [[0], [-2]], 2), [0.5, 0.5], [[1.5], [1]]),
        (specs.BoundedArray((2,), np.float64, [-1e10, 0], [1e10, 4]), [0.5, 0.5], [0.5, 3]),
        (specs.Array((3,), np.float64), [0.25] * 3, [0.25] * 3),
        (specs.BoundedArray((1,), np.float64, 0, 10), [[1.5], [-7], [0]], [[10], [0], [5]]),
    ],
    ids=["scaled", "of_several_axes", "partly_without_limits", "without_limits", "clipped_in_each_row"],
)
def test_numbers_are_scaled_to_the_native_range(spec, action, native):
    form = action_form(spec)
    np.testing.assert_allclose(form.native(np.array(action)), native, atol=1e-12)
    assert ActionSpec.of(form.spec) == ActionSpec(kind="continuous", sizes=(int(np.prod(spec.shape)),))


@pytest.mark.parametrize(
    ("spec", "kind", "sizes", "action", "native"),
    [
        (specs.BoundedArray((2,), np.int32, -7, [-6, -4]), "multi_discrete", (2, 4), [0, 1, 0, 0, 0, 1], [-6, -4]),
        (SQUARE, "multi_discrete", (2, 3, 4, 1), [[0, 1, 0, 0, 1, 1, 0, 0, 0, 1]], [[[6, 7], [5, 5]]]),
        (specs.DiscreteArray(3), "discrete", (3,), [[0.1, 0.2, 0.7], [1, 0, 0]], [2, 0]),
        (specs.BoundedArray((), np.int64, 4, 6), "discrete", (3,), [0.1, 0.7, 0.2], 5),
    ],
    ids=["several", "of_several_axes", "a_batch_of_lone_ones", "a_lone_one"],
)
def test_one_hot_groups_are_the_integers_that_they_choose(spec, kind, sizes, action, native):
    form = action_form(spec)
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
        action_form(spec).native(action)


def test_integers_without_bounds_are_refused():
    with pytest.raises(UserError, match="needs bounds"):
        action_form(specs.Array((2,), np.int64))


def test_all_but_images_becomes_a_float32_vector():
    values = {"height": np.float64(1.5), "arm": np.ones((8, 2)), "pixels": np.zeros((4, 4, 3), np.uint8)}
    native = {name: specs.Array(np.shape(value), value.dtype) for name, value in values.items()}
    named, spec = normalization.observation(values), normalization.observation_spec(native)
    assert {name: (array.shape, array.dtype) for name, array in named.items()} == {
        "height": ((1,), np.float32),
        "arm": ((16,), np.float32),
        "pixels": ((4, 4, 3), np.uint8),
    }
    for name, array in named.items():
        spec[name].validate(array)
        assert not np.shares_memory(array, values[name])


def test_a_lone_array_gets_a_name():
    assert list(normalization.observation(np.zeros(2))) == ["observation"]
    assert list(normalization.observation_spec(specs.Array((2,), np.float64))) == ["observation"]
