"""Recipes made small learn: in a world of closed form each beats random actions by a margin that was fixed before.

`make smoke` runs all of them, each in under a minute; the fast ones are in the default suite.
"""

import numpy as np
import pytest

from framework.environments.distractors import Distractors
from framework.environments.staging import SOFTNESS
from tests.members import ROOT
from tests.smoke.learning import composed, environment_of, learn, margin, returns
from tests.smoke.tasks import DISTRACTED, LATENT_SAC, LEFT_OUT, MEMORY, TASKS, Task
from tests.smoke.worlds import Reach

EACH = [pytest.param(task, id=name, marks=[] if task.fast else pytest.mark.smoke) for name, task in TASKS.items()]
WORLDS = list({str(task.world): task.world for task in TASKS.values()}.values())


@pytest.mark.parametrize("task", EACH)
def test_it_beats_random_actions_by_half_of_what_there_is_to_gain(task: Task, request, record_property):
    found, wanted = learn(task), margin(task.world)
    name, random = request.node.callspec.id, returns("random", **task.world)
    spent = f"{found.updates} updates, {found.seconds:.0f} s of one core"
    record_property("said", f"{name}: random {random:.2f}, wanted {wanted:.2f}, learned {found.value:.2f} in {spent}")
    assert found.value > wanted


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_no_one_reaches_the_margin_who_does_not_know_the_target(world):
    least = min(margin(world) - returns(player, **world) for player in ("random", "still", "blind"))
    assert least > 0.15 * (returns("perfect", **world) - returns("random", **world))


def test_nothing_learned_is_not_enough():
    """The margin is one of learning: with few updates no agent reaches it."""
    task = TASKS["dreamer_v1_infonce"]
    assert learn(task, "Trainer.train_ratio=0.0", "Trainer.pretrain=3").value < margin(task.world)


def test_every_recipe_is_there_or_left_out_for_a_reason():
    learned = {task.recipe for task in TASKS.values()} - {LATENT_SAC}
    assert learned.isdisjoint(LEFT_OUT)
    assert learned | LEFT_OUT.keys() == {path.stem for path in (ROOT / "recipes").glob("*.gin")}


def test_a_distracted_recipe_keeps_its_background_around_the_world():
    task = TASKS["tpc_distractors"]
    assert [name for name, each in TASKS.items() if set(DISTRACTED) <= set(each.bindings)] == [
        name for name in TASKS if name.endswith("_distractors")
    ]
    environment, plain = environment_of(composed(task), task)(seed=3), Reach(seed=3)
    assert isinstance(environment, Distractors)
    step, clear = environment.reset(), plain.reset()
    for _ in range(5):
        assert step.reward == clear.reward
        shown, bars = step.observation["pixels"], clear.observation["pixels"]
        covered = bars.max(axis=-1) >= SOFTNESS
        np.testing.assert_array_equal(shown[covered], bars[covered])
        assert shown[~covered].std() > 20
        step, clear = environment.step(np.ones(1)), plain.step(np.ones(1))


def test_the_default_suite_has_some_of_each_kind_of_behavior():
    assert len(TASKS) == 29
    assert {name for name, task in TASKS.items() if task.fast} == {"dreamer_v1_infonce", "planet", "latent_sac"}
    assert sum(task.world == MEMORY for task in TASKS.values()) >= 3
