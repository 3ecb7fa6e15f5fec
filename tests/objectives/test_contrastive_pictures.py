"""The pictures of a contrast: rankings and frames, the score matrix, imagined images, and which pictures an agent has."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from framework.contrastive.contrast import Contrast
from framework.data import ExtraSteps
from framework.objectives import infonce
from framework.objectives.contrastive_pictures import rank, score_matrix, shown_steps, spread, which
from framework.objectives.imagination_pictures import ImageBank, imagine, imagined_future, retrieve
from framework.testing.samples import DYNAMICS, OBSERVATIONS, ROWS, batch, contrast, example, key_of, latent, observe, origin
from framework.visualization import imagined_images
from framework.visualization.figures import BLANK
from framework.visualization.ranked_images import CAPTION, GAP, LEFT, MARGIN, TOP
from tests.members import ROOT, factory
from tests.objectives.contrasts import make

TILE, ACROSS = 128, 128 + MARGIN
WHITE, GREEN, RED = (255, 255, 255), (0, 150, 60), (205, 25, 25)


def images(count: int):
    """Each of a gray of its own."""
    return (10 * torch.arange(count, dtype=torch.uint8) + 10).reshape(count, 1, 1, 1).expand(count, 8, 8, 3).contiguous()


def grays_and_frames(picture, line: int) -> tuple[list[int], list[tuple[int, ...]]]:
    """The gray of each image of a line of `which`, the true one first, and the color just left of each candidate."""
    y = TOP + line * (TILE + CAPTION) + TILE // 2
    lefts = [LEFT + column * ACROSS + (GAP if column else 0) for column in range(7)]
    return [int(picture[y, left + TILE // 2, 0]) for left in lefts], [tuple(picture[y, left - 2].tolist()) for left in lefts[1:]]


def scored(size: int = 4, **changed: float) -> Contrast:
    """Every anchor scores its own highest, except for what is changed: `_row_column`."""
    table = torch.eye(size)
    for place, value in changed.items():
        row, column = map(int, place.strip("_").split("_"))
        table[row, column] = value
    return contrast(table, origin(2, size // 2))


def drawn(scores: Contrast, valid=None, axis: str = "row"):
    size = len(scores.scores)
    return which(scores, torch.ones(size, dtype=torch.bool) if valid is None else valid, images(size).unflatten(0, (2, -1)), axis)


def test_the_kept_candidates_of_the_batch_are_ranked_by_score_and_the_true_one_is_the_last_of_equals():
    ranking = rank(scored(_0_2=2.0, _0_3=1.0), 0)
    assert (ranking.candidates, ranking.rank) == ([2, 3, 0, 1], 3)
    kept = torch.ones(4, 4, dtype=torch.bool)
    kept[0, 2] = False
    extended = scored(_0_2=2.0).keep(kept).append(torch.full((4, 3), 9.0), torch.zeros(4, 3))
    assert rank(extended, 0).candidates == [0, 1, 3]


def test_anchors_are_spread_over_the_valid_ones():
    valid = torch.arange(60) >= 30
    assert [(place - 30) // 5 for place in spread(valid, 6)] == [0, 1, 2, 3, 4, 5]
    assert spread(torch.arange(60) > 57, 6) == [58, 59]
    assert spread(torch.zeros(3, dtype=torch.bool), 6) == []


def test_a_hit_has_the_true_image_first_in_a_green_frame_and_a_miss_another_in_a_red_one():
    picture = drawn(scored(_2_3=2.0))
    assert picture.dtype == torch.uint8
    assert picture.shape == (TOP + 4 * (TILE + CAPTION), LEFT + 7 * ACROSS + GAP + MARGIN, 3)
    assert grays_and_frames(picture, 1) == ([20, 20, 10, 30, 40, 255, 255], [GREEN, *[WHITE] * 5])
    assert grays_and_frames(picture, 2) == ([30, 40, 30, 10, 20, 255, 255], [RED, GREEN, *[WHITE] * 4])


def test_the_matrix_is_brightest_on_its_diagonal_and_gray_where_a_candidate_is_left_out():
    """Also where the strategy takes the diagonal out of the denominator."""
    kept = torch.ones(4, 4, dtype=torch.bool)
    kept[0, 3] = False
    picture = score_matrix(factory("negatives", "Decoupled")()(scored().keep(kept), key_of(0)), "row")

    def color(row: int, column: int) -> tuple[int, ...]:
        return tuple(picture[116 + row * 140 + 70, 78 + column * 140 + 70].tolist())

    assert color(1, 1) == (253, 231, 36)  # both ends of viridis
    assert color(1, 3) == (68, 1, 84)
    assert color(0, 3) == (191, 191, 191)


def test_scores_that_are_not_finite_and_long_batches_can_be_drawn():
    invalid = contrast(torch.full((4, 4), torch.nan), origin(2, 2))
    assert score_matrix(invalid, "row").dtype == drawn(invalid, axis="column").dtype == torch.uint8
    assert score_matrix(contrast(torch.eye(600), origin(12, 50)), "row").shape[0] < 1000


def test_the_shown_steps_of_a_batch_are_in_words():
    assert shown_steps(origin(3, 4), 12) == "3 sequences of 4 steps."
    assert shown_steps(origin(3, 4), 8) == "The first 2 of 3 sequences of 4 steps."
    assert shown_steps(origin(3, 4), 3) == "The first 3 steps of the first of 3 sequences of 4 steps."


def test_a_latent_retrieves_the_best_image_of_another_episode():
    bank = ImageBank(candidates=torch.tensor([[0.0], [5.0], [9.0]]), images=images(3), episode=torch.tensor([0, 1, 2]))

    def score(anchors, candidates):
        return candidates.T.expand(anchors.stochastic.shape[0], -1)

    assert retrieve(latent(2, 3), bank, torch.tensor([2, 0]), score).tolist() == [[1, 1, 1], [2, 2, 2]]
    alone = replace(bank, episode=torch.tensor([2, 2, 2]))
    assert retrieve(latent(2, 3), alone, torch.tensor([2, 0]), score).tolist() == [[-1, -1, -1], [2, 2, 2]]


def test_the_future_is_the_prior_rolled_with_the_real_actions():
    sample = example(times=12)
    future = imagined_future(DYNAMICS, sample.posterior, sample.batch)
    assert (future.context, future.rows, future.steps) == (5, [0, 1, 2], list(range(5, 12)))
    by_hand = sample.posterior.map(lambda part: part[:, 4])
    for step in range(5, 8):
        by_hand = DYNAMICS.imagine_step(by_hand, sample.batch.action[:, step], torch.zeros(ROWS, 4))
    assert torch.allclose(future.latents.stochastic[:, 2], by_hand.stochastic, atol=1e-5)
    assert future.alive.all()


def test_a_future_ends_with_its_episode_and_the_longest_are_shown():
    is_first = torch.zeros(6, 12, dtype=torch.bool)
    is_first[[0, 2], 7] = True
    future = imagined_future(DYNAMICS, latent(6, 12), replace(batch("pixels", rows=6, times=12), is_first=is_first), offset=1)
    assert (future.rows, future.steps) == ([1, 3, 4, 5], list(range(6, 12)))
    assert future.alive.all()
    short = imagined_future(DYNAMICS, latent(3, 12), replace(batch("pixels", rows=3, times=12), is_first=is_first[:3]))
    assert short.alive.sum(dim=1).tolist() == [2, 7, 2]


def test_imagined_images_stand_above_real_ones_until_the_episode_ends():
    sample = example(times=6, kind="pixels")
    is_first = sample.batch.is_first.clone()
    is_first[0, 4] = True
    sample, pixels = replace(sample, batch=replace(sample.batch, is_first=is_first)), sample.batch.observation["pixels"]
    bank = ImageBank(candidates=torch.arange(2.0)[:, None], images=images(2), episode=torch.tensor([900, 901]))
    picture = imagine(sample, DYNAMICS, pixels, bank, lambda anchors, c: c.T.expand(anchors.stochastic.shape[0], -1))
    wide, top = 64 + imagined_images.SPACE, imagined_images.TOP
    left = imagined_images.LEFT + 3 * wide + imagined_images.GAP
    assert set(picture[top : top + 64, left : left + 64].flatten().tolist()) == {20}
    assert torch.equal(picture[top + wide : top + wide + 64 : 8, left : left + 64 : 8], pixels[0, 3])
    assert torch.equal(picture[top + wide : top + wide + 64 : 8, left - wide - imagined_images.GAP :][:, :64:8], pixels[0, 2])
    assert tuple(picture[top + 10, left + wide + 10].tolist()) == (BLANK,) * 3


def test_without_a_future_or_an_image_of_another_episode_there_is_no_picture():
    sample = example(times=6, kind="pixels")
    assert imagined_future(DYNAMICS, sample.posterior, sample.batch, offset=3) is None
    same = replace(sample, batch=replace(sample.batch, episode=torch.zeros(ROWS, 6, dtype=torch.int64)))
    bank = ImageBank(candidates=torch.zeros(2, 1), images=images(2), episode=torch.zeros(2, dtype=torch.int64))
    pixels = sample.batch.observation["pixels"]
    assert imagine(same, DYNAMICS, pixels, bank, lambda anchors, c: torch.zeros(anchors.stochastic.shape[0], 2)) is None


@pytest.mark.parametrize(
    ("settings", "offset", "more", "names"),
    [
        ({"kind": "pixels", "offsets": (1, 2)}, 1, 7, {"which", "imagine", "scores"}),
        ({"kind": "pixels", "critic": "PriorCritic", "anchor": "prior", "axis": "column"}, 0, 0, {"which", "imagine", "scores"}),
        ({"kind": "vectors"}, None, None, {"scores"}),
    ],
)
def test_an_agent_has_the_pictures_that_its_observations_allow(monkeypatch, settings, offset, more, names):
    """With the images of the smallest offset; those of `Replay.extra_candidates` join the bank where the critic scores embeddings."""
    calls = {}
    monkeypatch.setattr(infonce, "score_matrix", lambda contrast, axis: torch.zeros(1, 1, 3))
    monkeypatch.setattr(infonce, "which", lambda contrast, valid, images, axis, offset: calls.update(images=images, offset=offset))
    monkeypatch.setattr(infonce, "imagine", lambda sample, dynamics, images, bank, score, offset: calls.update(bank=bank) or torch.zeros(1))
    extra = ExtraSteps(observation=observe(OBSERVATIONS["pixels"], 7), episode=torch.arange(7) + 1000)
    sample = example(times=8, kind=settings["kind"])
    with torch.no_grad():
        pictures = make(**settings).pictures(replace(sample, batch=replace(sample.batch, extra=extra)), DYNAMICS, key_of(0))
    assert set(pictures) == {f"contrastive/{name}" for name in names}
    assert calls.get("offset") == offset
    if offset is not None:
        assert torch.equal(calls["images"], sample.batch.observation["pixels"][:, offset:])
        assert len(calls["bank"].images) == len(calls["bank"].candidates) == ROWS * 8 + more


@pytest.mark.nightly
def test_matplotlib_is_imported_only_to_draw_and_never_its_pyplot():
    code = """
import sys
import numpy as np
import framework.objectives.infonce
from framework.visualization.estimates import draw_estimates
assert "matplotlib" not in sys.modules
assert draw_estimates({"contrastive/estimate": ([0, 10], [0.0, 1.0])}).dtype == np.uint8
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
