"""Random shifts: each image is itself, moved, with its edge repeated; in training alone."""

import pytest
import torch
from torch import Tensor

from framework.encoders.random_shift import RandomShift
from framework.errors import UserError
from tests.members import factory
from tests.tiny import OBSERVATIONS, observe, seed_of


def make(**settings) -> RandomShift:
    return RandomShift(observation=OBSERVATIONS["pixels"], encoder=factory("encoders", "ConvEncoder"), **settings)


def shifts(image: Tensor, pixels: int) -> list[Tensor]:
    """Every shift of one image, by hand."""
    height, width, _ = image.shape
    found = []
    for down in range(-pixels, pixels + 1):
        for right in range(-pixels, pixels + 1):
            rows = (torch.arange(height) + down).clamp(0, height - 1)
            columns = (torch.arange(width) + right).clamp(0, width - 1)
            found.append(image[rows][:, columns])
    return found


def test_every_image_is_one_of_its_shifts():
    seen = observe(OBSERVATIONS["pixels"], 3, 2)
    moved = make(pixels=2, across="step").augment(seen, seed_of(1))["pixels"]
    assert moved.dtype == torch.uint8
    for row in range(3):
        for time in range(2):
            assert sum(torch.equal(moved[row, time], each) for each in shifts(seen["pixels"][row, time], 2)) == 1


def test_all_shifts_come_and_equally_often():
    image = observe(OBSERVATIONS["pixels"], 1, 1)["pixels"].expand(1, 2500, 8, 8, 3)
    moved = make(pixels=1, across="step").augment({"pixels": image}, seed_of(2))["pixels"][0]
    counts = [(moved == each).all(dim=-1).all(dim=-1).all(dim=-1).sum().item() for each in shifts(image[0, 0], 1)]
    assert sum(counts) == 2500
    assert all(200 < count < 360 for count in counts)


@pytest.mark.parametrize(("across", "alike"), [("sequence", True), ("step", False)])
def test_the_steps_of_a_sequence_move_alike_if_asked(across, alike):
    image = observe(OBSERVATIONS["pixels"], 4, 1)["pixels"].expand(4, 6, 8, 8, 3)
    moved = make(pixels=2, across=across).augment({"pixels": image}, seed_of(3))["pixels"]
    assert all(torch.equal(moved[:, 0], moved[:, time]) for time in range(6)) == alike
    assert not torch.equal(moved, image)


def test_acting_sees_the_image_unmoved():
    encoder, seen = make(), observe(OBSERVATIONS["pixels"], 3)
    assert torch.equal(encoder(seen), encoder.encoder(seen))


def test_it_refuses_vectors_and_no_shift_at_all():
    with pytest.raises(UserError, match="must be an image"):
        RandomShift(observation=OBSERVATIONS["vectors"], encoder=factory("encoders", "MLPEncoder"))
    with pytest.raises(UserError, match=r"RandomShift.pixels = 0 must be at least 1"):
        make(pixels=0)
