"""Reconstruction: the sum of its decoders, the patterns of their names, and pictures."""

import torch

from framework.objectives.reconstruction import Reconstruction
from framework.testing.samples import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, normal, objective_sizes
from tests.members import factory


def make(**decoders) -> Reconstruction:
    return Reconstruction(**objective_sizes(), decoders=decoders)


def test_its_picture_has_observations_above_reconstructions():
    objective = make(pixels=factory("heads", "ImageHead"))
    posterior, data = latent(ROWS, TIMES), batch("both")
    picture = objective.pictures(inferred(posterior, posterior, normal(ROWS, TIMES, 5), data), DYNAMICS, key_of(0))["reconstruction_pixels"]
    assert picture.shape == (ROWS * 2 * 8, TIMES * 8, 3)
    assert torch.equal(picture[16:24, 8:16], data.observation["pixels"][1, 1])
    decoded = ((objective.decoders[0](posterior.features).mean[1, 1] + 0.5).clamp(0, 1) * 255).round()
    assert torch.equal(picture[24:32, 8:16].float(), decoded)


def test_an_observation_belongs_to_the_first_pattern_that_matches():
    objective = make(**{"pos*": factory("heads", "VectorHead"), "*i*": factory("heads", "ImageHead")})
    assert objective.names == [["position"], ["pixels"]]
    joined = make(**{"[ps]*d": factory("heads", "VectorHead"), "pos*": factory("heads", "VectorHead")})
    assert joined.names == [["speed"], ["position"]]


def test_one_head_decodes_all_the_vectors_of_its_pattern():
    objective = make(**{"pixels": factory("heads", "ImageHead"), "*": factory("heads", "VectorHead")})
    posterior, data = latent(ROWS, TIMES), batch("both")
    losses, metrics = objective(inferred(posterior, posterior, normal(ROWS, TIMES, 5), data), DYNAMICS, key_of(0))
    assert objective.names == [["pixels"], ["position", "speed"]]
    vectors = torch.cat([data.observation["position"], data.observation["speed"].unsqueeze(-1)], dim=-1)
    expected = -objective.decoders[1](posterior.features).log_density(vectors)
    assert torch.allclose(metrics["model/reconstruction_position_speed"], expected.mean())
    assert torch.allclose(losses["reconstruction"], expected + objective.decoders[0].loss(posterior.features, data))
