import numpy as np
import pytest
from dm_env import specs
from hypothesis import given
from hypothesis import strategies as st

from framework.data import ActionSpec
from framework.environments import normalization
from framework.environments.normalization import ActionChoices, ActionScale, action_form
from framework.errors import UserError

LIMITS = st.tuples(st.floats(-100, 100), st.floats(0.1, 100))


@given(LIMITS, st.floats(-1, 1, width=32))
def test_an_action_maps_linearly_onto_the_native_range(limits, action):
    low, width = limits
    scale = ActionScale.of(specs.BoundedArray((2,), np.float64, low, low + width))
    native = scale.native(np.array([action, -1.0]))
    assert native[0] == pytest.approx(low + (action + 1) / 2 * width, abs=1e-9)
    assert native[1] == pytest.approx(low, abs=1e-9)


def test_an_actuator_without_limits_gets_the_value_unscaled():
    scale = ActionScale.of(specs.BoundedArray((2,), np.float64, [-1e10, 0], [1e10, 4]))
    np.testing.assert_array_equal(scale.native(np.array([0.5, 0.5])), [0.5, 3.0])
    assert ActionScale.of(specs.Array((3,), np.float64)).native(np.full(3, 0.25)).tolist() == [0.25] * 3


def test_an_action_beyond_the_range_is_clipped_in_each_row_of_a_batch():
    scale = ActionScale.of(specs.BoundedArray((1,), np.float64, 0, 10))
    np.testing.assert_array_equal(scale.native(np.array([[1.5], [-7.0], [0.0]])), [[10], [0], [5]])


@pytest.mark.parametrize("action", [np.zeros(3), np.array([0.0, np.nan]), np.array([np.inf, 0.0]), np.zeros(())])
def test_a_wrong_action_is_refused(action):
    with pytest.raises(ValueError, match="2 finite numbers"):
        ActionScale.of(specs.BoundedArray((2,), np.float64, -1, 1)).native(action)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(-7, 7), st.data())
def test_one_hot_groups_are_the_integers_that_they_choose(sizes, low, data):
    form = action_form(specs.BoundedArray((len(sizes),), np.int32, low, low + np.array(sizes) - 1))
    chosen = [data.draw(st.integers(0, size - 1)) for size in sizes]
    native = form.native(np.concatenate([np.eye(size)[each] for size, each in zip(sizes, chosen, strict=True)]))
    assert native.dtype == np.int32
    assert native.tolist() == [low + each for each in chosen]
    assert ActionSpec.of(form.spec) == ActionSpec(kind="multi_discrete", sizes=tuple(sizes))


@pytest.mark.parametrize("spec", [specs.DiscreteArray(3), specs.BoundedArray((), np.int64, 4, 6)])
def test_a_lone_choice_is_an_int(spec):
    form = action_form(spec)
    native = form.native(np.array([0.1, 0.2, 0.7]))
    assert (type(native), native) == (int, int(spec.minimum) + 2)
    np.testing.assert_array_equal(form.native(np.eye(3)[[2, 0]]), spec.minimum + np.array([2, 0]))
    assert ActionSpec.of(form.spec) == ActionSpec(kind="discrete", sizes=(3,))


def test_choices_keep_the_shape_of_the_environment():
    form = action_form(specs.BoundedArray((2, 2), np.uint8, 5, [[6, 7], [8, 5]]))
    assert isinstance(form, ActionChoices)
    assert form.sizes == (2, 3, 4, 1)
    native = form.native(np.array([[0, 1, 0, 0, 1, 1, 0, 0, 0, 1.0]]))
    np.testing.assert_array_equal(native, np.array([[[6, 7], [5, 5]]], np.uint8))


@pytest.mark.parametrize("action", [np.zeros(3), np.array([0.0, np.nan, 0, 0, 0]), np.zeros(())])
def test_a_wrong_choice_is_refused(action):
    with pytest.raises(ValueError, match=r"5 finite numbers in groups of \(2, 3\)"):
        action_form(specs.BoundedArray((2,), np.int64, 0, [1, 2])).native(action)


def test_integers_without_bounds_are_refused():
    with pytest.raises(UserError, match="needs bounds"):
        action_form(specs.Array((2,), np.int64))


def test_all_but_images_becomes_a_float32_vector():
    values = {"height": 1.5, "arm": np.ones((8, 2)), "pixels": np.zeros((4, 4, 3), np.uint8)}
    native = {
        "height": specs.Array((), np.float64),
        "arm": specs.Array((8, 2), np.float64),
        "pixels": specs.Array((4, 4, 3), np.uint8),
    }
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
