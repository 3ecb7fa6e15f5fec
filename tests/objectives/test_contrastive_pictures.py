"""The pictures of a contrast: who is shown first, in which frame, what an imagined latent finds, and what a matrix leaves out."""

from dataclasses import replace

import pytest
import torch

from framework.contrastive.contrast import Contrast
from framework.data import ExtraSteps
from framework.objectives import contrastive_pictures, imagination_pictures
from framework.objectives.contrastive_pictures import CAPTION, GAP, LEFT, TOP, rank, scores, spread, which
from framework.objectives.drawing import BLANK, GREEN, RED, Canvas, enlarged
from framework.objectives.imagination_pictures import Bank, imagine, imagined_future, retrieve
from framework.objectives.infonce import InfoNCE
from framework.objectives.matrices import LEFT_OUT, MARGIN, VIRIDIS
from tests.members import factory
from tests.tiny import (
    ACTIONS,
    DYNAMICS,
    LATENT,
    OBSERVATIONS,
    ROWS,
    TIMES,
    batch,
    contrast,
    inferred,
    latent,
    normal,
    observe,
    origin,
    seed_of,
)

TILE, ACROSS = 128, 128 + 14


def images(count: int):
    """Each of one gray of its own."""
    return (10 * torch.arange(count, dtype=torch.uint8) + 10).reshape(count, 1, 1, 1).expand(count, 8, 8, 3).contiguous()


def greys(picture, line: int) -> list[int]:
    """The gray of each image of a line of `which`, the true one first."""
    y = TOP + line * (TILE + CAPTION) + TILE // 2
    return [int(picture[y, LEFT + column * ACROSS + (GAP if column else 0) + TILE // 2, 0]) for column in range(7)]


def frames(picture, line: int) -> list[tuple[int, ...]]:
    """The color just left of each candidate."""
    y = TOP + line * (TILE + CAPTION) + TILE // 2
    return [tuple(picture[y, LEFT + GAP + column * ACROSS - 2].tolist()) for column in range(1, 7)]


def found(size: int = 4, **changed):
    """Every anchor finds its own, but for what is changed: (row, column) as words."""
    table = torch.eye(size)
    for place, value in changed.items():
        row, column = map(int, place.strip("_").split("_"))
        table[row, column] = value
    return contrast(table, origin(2, size // 2))


def test_candidates_are_ranked_by_score_and_the_true_one_is_the_last_of_equals():
    given = found(_0_2=2.0, _0_3=1.0)
    assert rank(given, 0).candidates == [2, 3, 0, 1]
    assert rank(given, 0).rank == 3
    assert rank(given, 1).rank == 1


def test_a_candidate_that_is_left_out_is_not_ranked_nor_one_from_elsewhere():
    kept = torch.ones(4, 4, dtype=torch.bool)
    kept[0, 2] = False
    given = found(_0_2=2.0).keep(kept).append(torch.full((4, 3), 9.0), torch.zeros(4, 3))
    assert rank(given, 0).candidates == [0, 1, 3]


def test_anchors_are_spread_over_those_that_are_valid():
    valid = torch.zeros(60, dtype=torch.bool)
    valid[30:] = True
    chosen = spread(valid, 6)
    assert [(place - 30) // 5 for place in chosen] == [0, 1, 2, 3, 4, 5]
    assert spread(valid & (torch.arange(60) > 57), 6) == [58, 59]
    assert spread(torch.zeros(3, dtype=torch.bool), 6) == []


def test_a_hit_has_the_true_image_first_in_a_green_frame():
    picture = which(found(), torch.ones(4, dtype=torch.bool), images(4), "row")
    assert picture.dtype == torch.uint8
    assert picture.shape == (TOP + 4 * (TILE + CAPTION), LEFT + 7 * ACROSS + GAP + 14, 3)
    assert greys(picture, 1) == [20, 20, 10, 30, 40, 255, 255]
    assert frames(picture, 1) == [GREEN, *[(255, 255, 255)] * 5]


def test_a_miss_has_a_red_frame_where_another_scores_highest_and_a_green_one_where_the_truth_is():
    picture = which(found(_1_3=2.0), torch.ones(4, dtype=torch.bool), images(4), "row")
    assert greys(picture, 1) == [20, 40, 20, 10, 30, 255, 255]
    assert frames(picture, 1)[:3] == [RED, GREEN, (255, 255, 255)]


def test_of_many_candidates_the_first_six_are_shown():
    table = torch.arange(8.0).expand(8, 8).contiguous()
    picture = which(contrast(table, origin(2, 4)), torch.arange(8) == 1, images(8), "row")
    assert greys(picture, 0) == [20, 80, 70, 60, 50, 40, 30]
    assert frames(picture, 0) == [RED, *[(255, 255, 255)] * 5]


def test_pixels_are_repeated_and_images_of_one_channel_and_stacks_become_color():
    image = torch.arange(8, dtype=torch.uint8).reshape(2, 2, 2)
    assert enlarged(image, 2)[:, :, 0].tolist() == [[1, 1, 3, 3], [1, 1, 3, 3], [5, 5, 7, 7], [5, 5, 7, 7]]
    stack = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 9)
    assert enlarged(stack, 1).tolist() == [[[6, 7, 8]]]


def test_words_are_written_where_they_are_asked_for():
    canvas = Canvas(width=60, height=20)
    canvas.write("dream", x=4, y=2)
    ink = (canvas.picture() < 128).any(dim=-1).nonzero()
    assert ink.amin(dim=0).ge(torch.tensor([2, 4])).all()
    assert len(ink) > 40


def test_the_matrix_is_brightest_on_its_diagonal_and_grey_where_a_candidate_is_left_out():
    kept = torch.ones(4, 4, dtype=torch.bool)
    kept[0, 3] = False
    picture = scores(found().keep(kept), "row")
    cell, left, top = 140, 14 + MARGIN, 92 + 24

    def color(row: int, column: int) -> tuple[int, ...]:
        return tuple(picture[top + row * cell + cell // 2, left + column * cell + cell // 2].tolist())

    assert color(1, 1) == VIRIDIS[-1]
    assert color(1, 2) == VIRIDIS[0]
    assert color(0, 3) == LEFT_OUT


def test_the_true_one_is_shown_also_where_it_is_out_of_the_denominator():
    decoupled = factory("negatives", "Decoupled")()(found(), DYNAMICS, seed_of(0))
    assert decoupled.log_weights.diagonal().isneginf().all()
    assert torch.equal(scores(decoupled, "row"), scores(found(), "row"))
    every = torch.ones(4, dtype=torch.bool)
    assert torch.equal(which(decoupled, every, images(4), "row"), which(found(), every, images(4), "row"))


def test_only_as_many_whole_sequences_are_drawn_as_can_be_seen():
    small, large = (scores(contrast(torch.eye(rows * 50), origin(rows, 50)), "row") for rows in (5, 12))
    assert small.shape == large.shape


def test_scores_that_are_no_numbers_can_be_drawn():
    given = contrast(torch.full((4, 4), torch.nan), origin(2, 2))
    assert scores(given, "row").dtype == torch.uint8
    assert which(given, torch.ones(4, dtype=torch.bool), images(4), "column").dtype == torch.uint8


def test_a_latent_finds_the_best_image_of_another_episode():
    bank = Bank(candidates=torch.tensor([[0.0], [5.0], [9.0]]), images=images(3), episode=torch.tensor([0, 1, 2]))
    latents = latent(2, 3)

    def score(anchors, candidates):
        return candidates.T.expand(anchors.stochastic.shape[0], -1)

    assert retrieve(latents, bank, torch.tensor([2, 0]), score).tolist() == [[1, 1, 1], [2, 2, 2]]
    alone = replace(bank, episode=torch.tensor([2, 2, 2]))
    assert retrieve(latents, alone, torch.tensor([2, 0]), score).tolist() == [[-1, -1, -1], [2, 2, 2]]


def given(times: int = TIMES, kind: str = "pixels"):
    posterior = latent(ROWS, times)
    return inferred(posterior, latent(ROWS, times, seed=5), normal(ROWS, times, 5, seed=3), batch(kind, times=times))


def test_the_future_is_the_prior_rolled_with_the_real_actions():
    seen = given(times=12)
    future = imagined_future(seen.dynamics, seen.posterior, seen.batch)
    assert future is not None
    assert (future.context, future.rows, future.steps) == (5, [0, 1, 2], list(range(5, 12)))
    by_hand = seen.posterior.map(lambda part: part[:, 4])
    for step in range(5, 8):
        by_hand = seen.dynamics.imagine_step(by_hand, seen.batch.action[:, step], torch.zeros(ROWS, 4))
    assert torch.equal(future.latents.stochastic[:, 2], by_hand.stochastic)
    assert future.alive.all()


def test_a_future_ends_with_its_episode_and_the_longest_are_shown():
    seen = given(times=12)
    is_first = torch.zeros(6, 12, dtype=torch.bool)
    is_first[[0, 2], 7] = True
    is_first[1, 3] = True
    data = replace(batch("pixels", rows=6, times=12), is_first=is_first)
    future = imagined_future(seen.dynamics, latent(6, 12), data, offset=1)
    assert future is not None
    assert future.rows == [1, 3, 4, 5]
    assert future.steps == list(range(6, 12))
    assert future.alive.all()
    few = replace(batch("pixels", rows=3, times=12), is_first=is_first[:3])
    short = imagined_future(seen.dynamics, latent(3, 12), few)
    assert short is not None
    assert short.alive.sum(dim=1).tolist() == [2, 7, 2]


def test_what_was_imagined_stands_above_what_came():
    seen = given(times=6)
    bank = Bank(candidates=torch.arange(2.0)[:, None], images=images(2), episode=torch.tensor([900, 901]))
    picture = imagine(seen, seen.batch.observation["pixels"], bank, lambda anchors, c: c.T.expand(anchors.stochastic.shape[0], -1))
    assert picture is not None
    wide = 64 + 2
    x = imagination_pictures.LEFT + 3 * wide + imagination_pictures.GAP
    y = imagination_pictures.TOP
    assert set(picture[y : y + 64, x : x + 64].flatten().tolist()) == {20}
    assert torch.equal(picture[y + wide : y + wide + 64 : 8, x : x + 64 : 8], seen.batch.observation["pixels"][0, 3])
    assert torch.equal(
        picture[y + wide : y + wide + 64 : 8, x - wide - imagination_pictures.GAP :][:, :64:8], seen.batch.observation["pixels"][0, 2]
    )


def test_past_the_end_of_an_episode_nothing_is_shown():
    seen = given(times=6)
    is_first = seen.batch.is_first.clone()
    is_first[0, 4] = True
    seen = replace(seen, batch=replace(seen.batch, is_first=is_first))
    bank = Bank(candidates=torch.arange(2.0)[:, None], images=images(2), episode=torch.tensor([900, 901]))
    picture = imagine(seen, seen.batch.observation["pixels"], bank, lambda anchors, c: c.T.expand(anchors.stochastic.shape[0], -1))
    assert picture is not None
    x = imagination_pictures.LEFT + 4 * 66 + imagination_pictures.GAP
    assert tuple(picture[imagination_pictures.TOP + 10, x + 10].tolist()) == BLANK


def test_without_a_future_or_an_image_of_another_episode_there_is_no_picture():
    seen = given(times=6)
    assert imagined_future(seen.dynamics, seen.posterior, seen.batch, offset=3) is None
    same = replace(seen, batch=replace(seen.batch, episode=torch.zeros(ROWS, 6, dtype=torch.int64)))
    bank = Bank(candidates=torch.zeros(2, 1), images=images(2), episode=torch.zeros(2, dtype=torch.int64))
    assert imagine(same, same.batch.observation["pixels"], bank, lambda anchors, c: torch.zeros(anchors.stochastic.shape[0], 2)) is None


def make(critic="BilinearCritic", kind="pixels", **settings) -> InfoNCE:
    return InfoNCE(
        latent=LATENT,
        embedding_size=5,
        observation=OBSERVATIONS[kind],
        action=ACTIONS["continuous"],
        critic=factory("critics", critic),
        negatives=factory("negatives", "InBatch"),
        bound=factory("bounds", "InfoNCEBound"),
        **settings,
    )


@pytest.mark.parametrize(
    ("critic", "settings"),
    [
        ("BilinearCritic", {}),
        ("BilinearCritic", {"axis": "symmetric"}),
        ("PriorCritic", {"anchor": "prior", "axis": "column"}),
        ("MultiHorizonCritic", {}),
    ],
)
def test_every_kind_of_critic_has_all_three(critic, settings):
    with torch.no_grad():
        pictures = make(critic, **settings).pictures(given(times=8), DYNAMICS, seed_of(0))
    assert set(pictures) == {"contrastive/which", "contrastive/imagine", "contrastive/scores"}
    assert all(picture.dtype == torch.uint8 and picture.shape[2] == 3 for picture in pictures.values())


def test_an_agent_without_an_image_has_its_scores_alone():
    with torch.no_grad():
        assert set(make(kind="vectors").pictures(given(kind="vectors"), DYNAMICS, seed_of(0))) == {"contrastive/scores"}


def test_the_true_image_is_that_of_the_smallest_offset(monkeypatch):
    """The image that belongs to a latent at `t` is the one of `t + 1`."""
    shown = []
    monkeypatch.setattr(
        contrastive_pictures, "which", lambda contrast, valid, images, axis, offset: shown.append((images, offset)) or images[0]
    )
    seen = given(times=8)
    with torch.no_grad():
        make("MultiHorizonCritic").pictures(seen, DYNAMICS, seed_of(0))
    assert shown[0][1] == 1
    assert torch.equal(shown[0][0], seen.batch.observation["pixels"][:, 1:].flatten(0, 1))


@pytest.mark.parametrize(
    ("critic", "settings", "more"), [("BilinearCritic", {}, 7), ("PriorCritic", {"anchor": "prior", "axis": "column"}, 0)]
)
def test_images_drawn_from_the_replay_join_the_bank_where_the_critic_scores_embeddings(monkeypatch, critic, settings, more):
    banks = []
    monkeypatch.setattr(imagination_pictures, "imagine", lambda seen, images, bank, score, offset: banks.append(bank))
    seen = given()
    draws = ExtraSteps(observation=observe(OBSERVATIONS["pixels"], 7), episode=torch.arange(7) + 1000)
    with torch.no_grad():
        make(critic, **settings).pictures(replace(seen, batch=replace(seen.batch, draws=draws)), DYNAMICS, seed_of(0))
    assert len(banks[0].images) == len(banks[0].candidates) == ROWS * TIMES + more


def test_pictures_do_not_change_with_rows_constants_on_the_row_axis():
    """What the softmax says is the same; only the scores beneath differ."""
    table = normal(4, 4)
    first, second = (Contrast.of(each, origin(2, 2)) for each in (table, table + torch.arange(4.0)[:, None]))
    assert [rank(first, row).candidates for row in range(4)] == [rank(second, row).candidates for row in range(4)]
    assert torch.allclose(contrastive_pictures.probabilities(first), contrastive_pictures.probabilities(second))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (12, "3 sequences of 4 steps."),
        (8, "The first 2 of 3 sequences of 4 steps."),
        (3, "The first 3 steps of the first of 3 sequences of 4 steps."),
    ],
)
def test_it_says_which_steps_of_a_batch_are_shown(size, words):
    assert contrastive_pictures.shown_of(origin(3, 4), size) == words
