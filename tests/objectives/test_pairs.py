"""An objective whose anchors come in blocks gives what it gives of all at once: losses, metrics, gradients."""

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch

from framework.contrastive.pairs import SHARE, blocks_of
from framework.errors import UserError
from framework.registry import registry_of
from tests.members import build, members
from tests.objectives.pairs import EMBEDDING, MOST, ROWS, SETTLED, STEPS, TIMES, given, gradients, make
from tests.tiny import DYNAMICS, LATENT, latent_spec, origin, seed_of

STRATEGIES, CRITICS = members("negatives"), members("critics")
BOUNDS = {name: build("bounds", name, latent=LATENT, embedding_size=EMBEDDING) for name in members("bounds")}
TRAINED = [name for name, bound in BOUNDS.items() if bound.side != "upper"]
JOINING = ["DonskerVaradhan", "MINE", "SMILE"]


def allowed(**settings):
    """The objective, if its parts go together."""
    try:
        return make(**settings)
    except UserError:
        return None


def whole_and_blocks(objective, spec=LATENT, alike=False, context=nullcontext):
    """Losses, metrics and gradients of all anchors at once, and of 5 blocks of them."""
    seen, leaves = given(spec, alike=alike)
    found = []
    for most in (STEPS, MOST):
        objective.chunk_above = most
        with context():
            losses, metrics = objective(seen, DYNAMICS, seed_of(0))
        found.append((losses["infonce"], metrics, gradients(objective, leaves, losses)))
    return found


def assert_blocks_equal_the_whole(objective, spec=LATENT, alike=False, context=nullcontext):
    (whole, said, expected), (losses, metrics, found) = whole_and_blocks(objective, spec, alike, context)
    assert losses.dtype == torch.float32
    assert torch.allclose(losses, whole, atol=2e-5)
    assert [*metrics] == [*said]
    assert all(torch.allclose(metrics[name], value, atol=2e-5) for name, value in said.items())
    assert [one is None for one in found] == [other is None for other in expected]
    assert sum(one is not None for one in found) >= 2
    for one, other in zip(found, expected, strict=True):
        assert one is None or torch.allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("anchors", "most", "count"), [(24, 22, 5), (16_385, 16_384, SHARE + 1), (50, 49, 5), (100, 3, 100), (2, 1, 2)])
def test_blocks_are_of_equal_size_and_cover_all_anchors(anchors, most, count):
    blocks = blocks_of(anchors, most)
    sizes = [rows.stop - rows.start for rows in blocks]
    assert [place for rows in blocks for place in range(rows.start, rows.stop)] == [*range(anchors)]
    assert {*sizes[:-1]} == {max(sizes)}
    assert max(sizes) == 1 or max(sizes) * anchors <= most**2 / SHARE
    assert len(blocks) == count


@pytest.mark.parametrize("axis", ["row", "column", "symmetric"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_in_blocks_equals_it_on_the_whole(name, axis):
    """Those that draw, where it does not matter what."""
    objective = allowed(negatives=name, axis=axis, settings=SETTLED.get(name))
    assert (objective is None) == (axis != "row" and registry_of("negatives").get(name).adds_candidates)
    if objective is not None:
        assert_blocks_equal_the_whole(objective, alike=name == "ActionNegatives")


def test_the_strategies_that_draw_are_those_that_were_settled():
    (seen, _), drawing = given(), set()
    for name in STRATEGIES:
        objective = make(negatives=name)
        one, other = (objective(seen, DYNAMICS, seed_of(number))[0]["infonce"] for number in (0, 1))
        drawing |= set() if torch.equal(one, other) else {name}
    assert drawing == {*SETTLED}
    assert len(STRATEGIES) == 15 + len(drawing)


PAIRS = [
    (critic, kind, anchor, axis)
    for critic in CRITICS
    for kind in registry_of("critics").get(critic).takes_latent
    for anchor in ("posterior", "prior")
    for axis in ("row", "column", "symmetric", "column_as_released")
    if allowed(critic=critic, spec=latent_spec(kind), anchor=anchor, axis=axis) is not None
]


def test_all_critics_are_compared():
    assert {critic for critic, *_ in PAIRS} == {*CRITICS}
    of_any, densities, of_several_offsets, over_observations = 5 * 2 * 2 * 4, 2 * 2 * 2, 2 * 2 * 4, 2 * 2
    assert len(PAIRS) == of_any + densities + of_several_offsets + over_observations


@pytest.mark.parametrize(("critic", "kind", "anchor", "axis"), PAIRS)
def test_every_critic_in_blocks_equals_it_on_the_whole(critic, kind, anchor, axis):
    """`MultiHorizonCritic` has offsets of 1, 2 and 3 steps, and so anchors without a positive."""
    spec = latent_spec(kind)
    assert_blocks_equal_the_whole(make(critic=critic, spec=spec, anchor=anchor, axis=axis), spec)


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in JOINING])
def test_every_bound_in_blocks_equals_it_on_the_whole(name):
    assert len(TRAINED) == 10
    objective = make("BilinearCritic", bound=name)
    for parameter in objective.bound.parameters():  # what begins near 0 hides what is wrong
        torch.nn.init.normal_(parameter, std=0.3)
    assert_blocks_equal_the_whole(objective)


def test_strategies_in_one_another_do_too():
    objective = make(negatives="HardWeighted")
    objective.negatives.of = make(negatives="EpisodeExcluded").negatives
    objective.negatives.of.of = make(negatives="MemoryQueue").negatives
    assert [type(each).__name__ for each in objective.negatives.each()] == ["HardWeighted", "EpisodeExcluded", "MemoryQueue"]
    assert_blocks_equal_the_whole(objective)


BFLOAT16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)


def test_scores_and_losses_are_float32_under_bfloat16():
    assert_blocks_equal_the_whole(make(), context=BFLOAT16)


def test_what_runs_in_bfloat16_is_computed_again_in_it():
    """The dynamics, for `ActionNegatives`; each block rounds the gradients of its weights to 8 bits."""
    (whole, _, expected), (losses, _, found) = whole_and_blocks(make(negatives="ActionNegatives"), alike=True, context=BFLOAT16)
    (exact, _, _), _ = whole_and_blocks(make(negatives="ActionNegatives"), alike=True)
    assert losses.dtype == torch.float32
    assert torch.allclose(losses, whole, rtol=1e-3)
    assert not torch.allclose(losses, exact, rtol=1e-3)
    compared = [(one, other) for one, other in zip(found, expected, strict=True) if one is not None]
    assert len(compared) > 10
    assert all((one - other).norm() < 5 * 2**-8 * other.norm() for one, other in compared)


def test_the_prior_of_some_steps_is_that_of_all():
    for kind in ("gaussian", "categorical"):
        seen, _ = given(latent_spec(kind))
        steps = origin(ROWS, TIMES).map(lambda each: each.roll(-7)[:19])
        action = seen.batch.action[steps.row, steps.time] + 0.1
        whole = seen.predict(seen.batch.action.index_put((steps.row, steps.time), action))
        some, place = seen.predict_at(action, steps), steps.row * TIMES + steps.time
        assert seen.batch.is_first[steps.row, steps.time].sum() == 4
        assert torch.allclose(some.features, whole.features[place], atol=1e-6)
        assert all(torch.allclose(some.statistics[name], value[place], atol=1e-6) for name, value in whole.statistics.items())


def test_candidates_that_are_stopped_get_no_gradient():
    objective, (seen, leaves) = make(embedding_gradient="stop", chunk_above=MOST), given()
    found = gradients(objective, leaves, objective(seen, DYNAMICS, seed_of(0))[0])
    place = next(number for number, leaf in enumerate(leaves) if leaf is seen.embedding)
    assert found[place] is None
    assert (found[0].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("critic", ["BilinearCritic", "MultiHorizonCritic"])
def test_on_request_it_says_and_shows_what_the_first_block_sees(critic):
    """Of 5 anchors, or with an offset of 1 step of 6, and all candidates."""
    objective, (seen, _) = make(critic, chunk_above=MOST), given()
    with torch.no_grad():
        _, contrast, valid = objective._first(seen, DYNAMICS, seed_of(0))
        said, shown = objective.diagnose(seen, DYNAMICS, seed_of(0)), objective.pictures(seen, DYNAMICS, seed_of(0))
    assert contrast.scores.shape == {"BilinearCritic": (5, 24), "MultiHorizonCritic": (6, 20)}[critic]
    assert valid.shape == contrast.scores.shape[:1]
    assert {*said} == {"contrastive/own_sequence_mass", "contrastive/effective_rank"}
    assert {*shown} == {"contrastive/which", "contrastive/imagine", "contrastive/scores"}


def test_a_block_of_one_episode_does_not_hide_that_nobody_has_a_negative():
    objective, (seen, _) = make(negatives="WithinSequence", chunk_above=MOST), given()
    objective.negatives.of = make(negatives="CrossSequence").negatives
    with pytest.raises(UserError, match=r"InfoNCE.negatives leaves no anchor a negative: WithinSequence of CrossSequence"):
        objective.diagnose(seen, DYNAMICS, seed_of(0))
    alone = replace(seen, batch=replace(seen.batch, episode=torch.zeros_like(seen.batch.episode)))
    assert "contrastive/effective_rank" in objective.diagnose(alone, DYNAMICS, seed_of(0))


@pytest.mark.parametrize("name", JOINING)
def test_a_bound_that_joins_anchors_is_refused_in_blocks_alone(name):
    assert [each for each in BOUNDS if BOUNDS[each].joins_anchors] == JOINING
    objective, (seen, _) = make(bound=name, chunk_above=STEPS), given()
    assert objective(seen, DYNAMICS, seed_of(0))[0]["infonce"].isfinite().all()
    objective.chunk_above = STEPS - 1
    with pytest.raises(UserError, match=rf"{name} joins all anchors.*4 x 6 steps.*chunk_above = 23.*bind InfoNCE.chunk_above = 24"):
        objective(seen, DYNAMICS, seed_of(0))


def test_no_steps_are_refused():
    with pytest.raises(UserError, match=r"InfoNCE.chunk_above = 0 must be at least 1"):
        make(chunk_above=0)
