"""Single encoders, beyond their contract."""

import numpy as np
import pytest
import torch
from dm_env import specs
from torch import nn

from framework.encoders.conv_encoder import ConvEncoder
from framework.encoders.mlp_encoder import MLPEncoder
from framework.encoders.multi_encoder import MultiEncoder
from framework.errors import UserError
from tests.members import factory
from tests.tiny import OBSERVATIONS, observe


def image(size: int) -> dict[str, specs.Array]:
    return {"pixels": specs.BoundedArray((size, size, 3), np.uint8, 0, 255, name="pixels")}


def test_the_embedding_of_dreamer_v1_has_1024_numbers():
    assert ConvEncoder(observation=image(64)).embedding_size == 1024


def test_pixels_are_scaled_to_half_units_around_zero():
    encoder = ConvEncoder(observation=image(8), channels=(4,))
    observation = observe(image(8), 2)
    expected = encoder.net(observation["pixels"].permute(0, 3, 1, 2).float() / 255 - 0.5).flatten(1)
    assert torch.allclose(encoder(observation), expected, atol=1e-6)


def test_an_image_too_small_is_refused_with_the_layer_that_fails():
    with pytest.raises(UserError, match=r"after 3 of its 4 layers 2 x 2 is left.*ConvEncoder.channels"):
        ConvEncoder(observation=image(32))


@pytest.mark.parametrize("kind", ["vectors", "both"])
def test_the_image_encoder_refuses_anything_else(kind):
    with pytest.raises(UserError, match=r"exactly one image.*MultiEncoder"):
        ConvEncoder(observation=OBSERVATIONS[kind])


def test_the_vector_encoder_refuses_images():
    with pytest.raises(UserError, match=r"was given pixels.*ConvEncoder"):
        MLPEncoder(observation=OBSERVATIONS["both"])


def test_an_encoder_of_vectors_may_end_with_its_last_hidden_layer():
    """As in Dreamer V3."""
    settings = {"layers": 2, "units": 6, "size": None, "activation": "silu", "norm": "rms", "squash": "symlog"}
    encoder = MLPEncoder(observation=OBSERVATIONS["vectors"], **settings)
    observation = observe(OBSERVATIONS["vectors"], 3)
    values = torch.cat([observation["position"], observation["speed"].unsqueeze(-1)], dim=-1)
    values = values.sign() * (1 + values.abs()).log()
    for layer in (encoder.net[0], encoder.net[3]):
        values = layer(values)
        values = nn.functional.silu(values / (values.square().mean(dim=-1, keepdim=True) + 1e-4).sqrt())
    assert encoder.embedding_size == 6
    assert torch.allclose(encoder(observation), values, atol=1e-5)


def test_an_encoder_without_any_layer_needs_a_size():
    with pytest.raises(UserError, match=r"MLPEncoder.size = None ends with the last hidden layer, and MLPEncoder.layers is 0"):
        MLPEncoder(observation=OBSERVATIONS["vectors"], layers=0, size=None)


def test_a_multi_encoder_concatenates_the_embeddings_of_its_encoders():
    encoder = factory("encoders", "MultiEncoder")(observation=OBSERVATIONS["both"])
    observation = observe(OBSERVATIONS["both"], 2)
    parts = [part({name: observation[name] for name in names}) for part, names in zip(encoder.parts, encoder.names, strict=True)]
    assert encoder.names == [["pixels"], ["position", "speed"]]
    assert torch.equal(encoder(observation), torch.cat(parts, dim=-1))


def test_the_first_pattern_that_matches_takes_the_name():
    shares = {"pos*": factory("encoders", "MLPEncoder"), "*": factory("encoders", "MLPEncoder")}
    assert MultiEncoder(observation=OBSERVATIONS["vectors"], encoders=shares).names == [["position"], ["speed"]]


def test_an_observation_without_pattern_and_a_pattern_without_observation_are_refused():
    with pytest.raises(UserError, match="No encoder takes the observation 'speed'"):
        MultiEncoder(observation=OBSERVATIONS["vectors"], encoders={"pos*": factory("encoders", "MLPEncoder")})
    unused = {"*": factory("encoders", "MLPEncoder"), "depth": factory("encoders", "ConvEncoder")}
    with pytest.raises(UserError, match=r"\['depth'\] of MultiEncoder.encoders take no observation"):
        MultiEncoder(observation=OBSERVATIONS["vectors"], encoders=unused)
