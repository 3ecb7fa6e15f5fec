"""Staged images: the compositing alone, then scenes of the suite."""

from functools import cache

import numpy as np
import pytest

from framework.environments.dm_control import DMControl
from framework.environments.staging import SOFTNESS, CameraView, Staging, composite, replace_color

BLACK, WHITE = np.zeros((48, 48, 3), np.uint8), np.full((48, 48, 3), 255, np.uint8)


@cache
def scene(task="walker_walk", quality="fast", size=48, supersampling=1):
    """An environment, and a function that stages and renders its present state."""
    environment = DMControl(task=task, seed=3, size=size, quality=quality, action_repeat=1, supersampling=supersampling)
    environment.reset()

    def image(**staging):
        environment.stage(Staging(**staging))
        return environment._renderer.image().astype(int)

    return environment, image


def middle(image):
    """The mean row and column of the pixels that are not black."""
    return np.argwhere(image.sum(axis=-1) > 0).mean(axis=0)


def test_a_pixel_is_foreground_and_background_by_its_coverage():
    front, back, coverage = np.full((1, 3, 3), 210), np.full((1, 3, 3), [0, 90, 255], np.uint8), np.array([[[0.0], [0.25], [1.0]]])
    shown = composite(coverage * front, coverage, back)
    assert (shown.dtype, shown[0].tolist()) == (np.uint8, [[0, 90, 255], [52, 120, 244], [210, 210, 210]])


def test_the_key_color_becomes_background_and_edges_in_part():
    key, back = (250, 250, 250), np.full((1, 4, 3), [10, 20, 30], np.uint8)
    image = np.array([[[250, 250, 250], [0, 0, 0], [250 - SOFTNESS, 250, 250], [250 - SOFTNESS // 2, 250, 250]]], np.uint8)
    shown = replace_color(image, key, back)
    assert shown[0, 0].tolist() == [10, 20, 30]
    assert (shown[0, 1:3] == image[0, 1:3]).all()
    assert shown[0, 3].tolist() == [250 - 32 - 125 + 5, 125 + 10, 125 + 15]


@pytest.mark.parametrize("settings", [{"quality": "near"}, {}, {"supersampling": 2}], ids=["near", "fast", "supersampled"])
def test_the_foreground_stays_and_the_rest_is_the_background(settings):
    _, image = scene(**settings)
    plain, black, white = image(), image(background=BLACK), image(background=WHITE)
    uncovered = (white - black)[..., 0]
    assert (white - black).min() >= 0
    assert 0.02 < (uncovered == 0).mean() < 0.3
    assert 0.6 < (uncovered == 255).mean() < 0.98
    np.testing.assert_array_equal(black[uncovered == 0], plain[uncovered == 0])
    assert (black[uncovered == 255] == 0).all()
    assert ((uncovered > 0) & (uncovered < 255)).any() == (settings != {})
    np.testing.assert_array_equal(image(), plain, "an empty staging changes no bit")


def test_the_sky_alone_leaves_the_ground():
    _, image = scene()
    plain, sky, both = image(), image(background=WHITE, behind="sky"), image(background=WHITE, behind="ground")
    replaced = [(each == 255).all(axis=-1).mean() for each in (plain, sky, both)]
    assert replaced[0] == 0 < 0.2 < replaced[1] < replaced[2] - 0.1
    ground = (sky != 255).any(axis=-1) & (both == 255).all(axis=-1)
    np.testing.assert_array_equal(sky[ground][-100:], plain[ground][-100:])


def test_a_tint_is_added_to_the_materials():
    environment, image = scene()
    red = np.zeros_like(environment.colors) + np.array([0.3, 0, 0])
    redder = image(tint=red, background=BLACK) - image(background=BLACK)
    assert redder[..., 0].max() > 10
    np.testing.assert_array_equal(redder[..., 1:], 0)


def test_a_view_moves_the_camera_around_what_it_looks_at():
    _, image = scene("finger_spin", size=96)
    back = np.zeros((96, 96, 3), np.uint8)
    here, away, rolled = (image(background=back, view=view) for view in (CameraView(), CameraView(away=1.0), CameraView(roll=np.pi / 2)))
    assert (away.sum(axis=-1) > 0).sum() < 0.4 * (here.sum(axis=-1) > 0).sum()
    row, column = middle(here) - 47.5
    turned = middle(rolled) - 47.5
    np.testing.assert_allclose(np.hypot(*turned), np.hypot(row, column), atol=1.5)
    assert turned @ [row, column] == pytest.approx(0, abs=0.3 * np.hypot(row, column) ** 2)
    for view in (CameraView(up=0.5), CameraView(right=0.5), CameraView(right=-0.5)):
        other = image(background=back, view=view)
        assert np.abs(middle(other) - middle(here)).max() < 12
        assert np.abs(other - here).sum() > 0.2 * here.sum()


@pytest.mark.parametrize(("task", "sinks"), [("cartpole_swingup", False), ("reacher_easy", True)])
def test_a_camera_sinks_to_the_ground_that_it_looks_along_and_not_below(task, sinks):
    _, image = scene(task)
    lowered, level = (image(view=CameraView(up=up, roll=0.1)) for up in (-0.4, 0.0))
    assert np.array_equal(lowered, level) != sinks


def test_staging_leaves_the_physics_as_they_are():
    plain, staged = (DMControl(task="cheetah_run", seed=1, observe="both", size=16, quality="fast") for _ in range(2))
    staged.stage(Staging(background=BLACK[:16, :16], tint=np.full_like(staged.colors, 0.1), view=CameraView(right=0.3, roll=0.2)))
    plain.reset(), staged.reset()
    for action in np.random.default_rng(0).uniform(-1, 1, (4, 6)):
        step, other = plain.step(action), staged.step(action)
        assert step.reward == other.reward
        for name in ("position", "velocity"):
            np.testing.assert_array_equal(step.observation[name], other.observation[name])
        assert not np.array_equal(step.observation["pixels"], other.observation["pixels"])
