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
from framework.testing.samples import OBSERVATIONS, observe
from tests.members import factory

VECTORS = factory("encoders", "MLPEncoder")


def image(size: int) -> dict[str, specs.Array]:
    return {"pixels": specs.BoundedArray((size, size, 3), np.uint8, 0, 255, name="pixels")}


def test_the_embedding_of_dreamer_v1_has_1024_numbers():
    assert ConvEncoder(observation=image(64)).embedding_size == 1024


def test_pixels_are_scaled_to_half_units_around_zero():
    encoder = ConvEncoder(observation=image(8), channels=(4,))
    observation = observe(image(8), 2)
    expected = encoder.net(observation["pixels"].permute(0, 3, 1, 2).float() / 255 - 0.5).flatten(1)
    assert torch.allclose(encoder(observation), expected, atol=1e-6)


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


def test_a_multi_encoder_concatenates_the_embeddings_of_its_encoders():
    encoder = factory("encoders", "MultiEncoder")(observation=OBSERVATIONS["both"])
    observation = observe(OBSERVATIONS["both"], 2)
    parts = [part({name: observation[name] for name in names}) for part, names in zip(encoder.parts, encoder.names, strict=True)]
    assert encoder.names == [["pixels"], ["position", "speed"]]
    assert torch.equal(encoder(observation), torch.cat(parts, dim=-1))


def test_the_first_pattern_that_matches_takes_the_name():
    encoder = MultiEncoder(observation=OBSERVATIONS["vectors"], encoders={"pos*": VECTORS, "*": VECTORS})
    assert encoder.names == [["position"], ["speed"]]


@pytest.mark.parametrize(
    ("encoder", "observation", "settings", "message"),
    [
        (ConvEncoder, image(32), {}, r"after 3 of its 4 layers 2 x 2 is left.*ConvEncoder.channels"),
        (ConvEncoder, OBSERVATIONS["vectors"], {}, r"exactly one image.*; bind Agent.encoder = @encoders.MLPEncoder."),
        (ConvEncoder, OBSERVATIONS["both"], {}, r"exactly one image.*MultiEncoder"),
        (MLPEncoder, OBSERVATIONS["both"], {}, r"was given pixels.*ConvEncoder"),
        (MLPEncoder, OBSERVATIONS["vectors"], {"layers": 0, "size": None}, r"MLPEncoder.size = None .*, and MLPEncoder.layers is 0"),
        (MultiEncoder, OBSERVATIONS["vectors"], {"encoders": {"pos*": VECTORS}}, "No encoder takes the observation 'speed'"),
        (
            MultiEncoder,
            OBSERVATIONS["vectors"],
            {"encoders": {"*": VECTORS, "depth": VECTORS}},
            r"\['depth'\] of MultiEncoder.encoders take no observation",
        ),
    ],
)
def test_it_refuses_observations_and_settings_that_do_not_fit(encoder, observation, settings, message):
    with pytest.raises(UserError, match=message):
        encoder(observation=observation, **settings)
