"""The data types between the stages."""

import numpy as np
import pytest
import torch
from dm_env import specs

from framework.contrastive.origin import Origin
from framework.data import Latent
from framework.errors import UserError
from framework.specs import Specs, is_image
from framework.testing.samples import ACTION, OBSERVATIONS, latent, normal


def test_the_origin_of_an_anchor_is_its_step_of_the_flattened_latent():
    steps = Origin.of(torch.tensor([[7, 7, 8], [9, 9, 9]]))
    places = latent(2, 3)
    flat = places.flatten()
    for i in range(6):
        row, time = steps.row[i], steps.time[i]
        assert torch.equal(flat.features[i], places.features[row, time])
    assert steps.episode.tolist() == [7, 7, 8, 9, 9, 9]
    assert (steps.rows, steps.times) == (2, 3)


def with_past() -> Latent:
    """A latent `[2, 3]` whose past is a window `[4, 5]` and an age."""
    past = {"window": normal(2, 3, 4, 5), "age": normal(2, 3)}
    return latent(2, 3).with_past(past)


def test_the_past_is_mapped_with_the_latent():
    whole = with_past()
    assert torch.equal(whole.flatten().past["window"][4], whole.past["window"][1, 1])
    assert torch.equal(whole.before(2).past["age"], whole.past["age"][:, :2])
    again = Latent.stack([whole.map(lambda tensor, t=t: tensor[:, t]) for t in range(3)], dim=1)
    assert {*again.past} == {*whole.past} == {"window", "age"}
    assert all(torch.equal(again.past[name], value) for name, value in whole.past.items())
    assert whole.without_past().past == {}
    assert torch.equal(whole.without_past().features, whole.features)


def test_where_takes_the_chosen_rows_of_one_latent_and_the_others_of_another():
    one = with_past().flatten()
    other = one.map(lambda tensor: tensor + 1)
    merged = one.where(torch.tensor([1, 0, 0, 1, 1, 0], dtype=torch.bool)[:, None], other)
    tensors = [[each.features, *each.statistics.values(), *each.past.values()] for each in (merged, one, other)]
    for mixed, left, right in zip(*tensors, strict=True):
        assert torch.equal(mixed[[0, 3, 4]], left[[0, 3, 4]])
        assert torch.equal(mixed[[1, 2, 5]], right[[1, 2, 5]])


def test_specs_give_the_kind_and_size_of_an_action():
    discrete = Specs(observation=OBSERVATIONS["both"], action=specs.DiscreteArray(4))
    continuous = Specs(observation=OBSERVATIONS["both"], action=ACTION)
    assert (discrete.action_kind, discrete.action_size) == ("discrete", 4)
    assert (continuous.action_kind, continuous.action_size) == ("continuous", 2)
    assert [is_image(spec) for spec in continuous.observation.values()] == [True, False, False]


def test_an_array_of_one_step_has_an_upper_bound():
    largest = specs.Array((2**15, 2**15), np.uint8, name="pixels")
    assert Specs(observation={"pixels": largest}, action=ACTION).observation == {"pixels": largest}
    with pytest.raises(
        UserError, match=r"'pixels' has the shape \(32768, 32769\), and an array of one step has at most 1073741824 numbers"
    ):
        Specs(observation={"pixels": specs.Array((2**15, 2**15 + 1), np.uint8, name="pixels")}, action=ACTION)
