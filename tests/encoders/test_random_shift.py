"""Random shifts of images."""

import pytest
import torch
from torch import Tensor

from framework.encoders.random_shift import RandomShift
from framework.errors import UserError
from framework.testing.samples import OBSERVATIONS, key_of, observe
from tests.members import factory


def make(**settings) -> RandomShift:
    return RandomShift(observation=OBSERVATIONS["pixels"], encoder=factory("encoders", "ConvEncoder"), **settings)


def shifts(image: Tensor, pixels: int) -> list[Tensor]:
    """Every shift of one image, by hand."""
    height, width, _ = image.shape
    images = []
    for down in range(-pixels, pixels + 1):
        for right in range(-pixels, pixels + 1):
            rows = (torch.arange(height) + down).clamp(0, height - 1)
            columns = (torch.arange(width) + right).clamp(0, width - 1)
            images.append(image[rows][:, columns])
    return images


def test_every_image_is_one_of_its_shifts_which_are_equally_frequent():
    image = observe(OBSERVATIONS["pixels"], 1, 1)["pixels"].expand(1, 2500, 8, 8, 3)
    shifted = make(pixels=1, across="step").augment({"pixels": image}, key_of(2))["pixels"][0]
    counts = [(shifted == each).flatten(1).all(dim=1).sum().item() for each in shifts(image[0, 0], 1)]
    assert shifted.dtype == torch.uint8
    assert sum(counts) == 2500
    assert all(200 < count < 360 for count in counts)


def test_a_bilinear_shift_interpolates_by_any_distance_up_to_its_pixels():
    """A ramp of 10 levels a pixel, away from its edges, rises by 10 levels for each pixel of the shift."""
    ramp = (20 * torch.arange(8)[:, None] + 10 * torch.arange(8)).to(torch.uint8)[None, None, ..., None].expand(500, 1, 8, 8, 3)
    shifted = make(pixels=2, interpolation="bilinear").augment({"pixels": ramp}, key_of(2))["pixels"]
    moved = (shifted.int() - ramp.int())[:, 0, 2:6, 2:6].float()
    rise = moved.mean(dim=(1, 2, 3))
    assert shifted.dtype == torch.uint8
    assert (moved - rise[:, None, None, None]).abs().max() <= 1.0
    assert rise.min() < -50
    assert rise.max() > 50
    assert rise.abs().max() <= 60.5
    assert rise.unique().numel() > 100
    assert rise.mean().abs() < 3


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_it_shifts_alike_under_bfloat16(interpolation):
    encoder, image = make(pixels=3, interpolation=interpolation), observe(OBSERVATIONS["pixels"], 20, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shifted = encoder.augment(image, key_of(2))["pixels"]
    assert torch.equal(shifted, encoder.augment(image, key_of(2))["pixels"])


@pytest.mark.parametrize(("across", "alike"), [("sequence", True), ("step", False)])
def test_the_steps_of_a_sequence_are_shifted_alike_unless_each_step_is_bound(across, alike):
    image = observe(OBSERVATIONS["pixels"], 4, 1)["pixels"].expand(4, 6, 8, 8, 3)
    shifted = make(pixels=2, across=across).augment({"pixels": image}, key_of(3))["pixels"]
    assert all(torch.equal(shifted[:, 0], shifted[:, time]) for time in range(6)) == alike
    assert not torch.equal(shifted, image)


def test_acting_does_not_shift_images():
    encoder, observation = make(), observe(OBSERVATIONS["pixels"], 3)
    assert torch.equal(encoder(observation), encoder.encoder(observation))


def test_it_refuses_vectors_alone_and_a_shift_of_zero():
    with pytest.raises(UserError, match="must be an image"):
        RandomShift(observation=OBSERVATIONS["vectors"], encoder=factory("encoders", "MLPEncoder"))
    with pytest.raises(UserError, match=r"RandomShift.pixels = 0 must be at least 1"):
        make(pixels=0)
