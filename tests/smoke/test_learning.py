"""Every small recipe learns: in a world of closed form its return exceeds a margin that was fixed in advance.

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
def test_it_learns_half_of_the_difference_between_random_and_optimal_returns(task: Task, request, record_property):
    learned, name, random = learn(task), request.node.callspec.id, returns("random", **task.world)
    cost = f"{learned.updates} updates, {learned.seconds:.0f} s of one core"
    summary = f"{name}: random {random:.2f}, margin {margin(task.world):.2f}, learned {learned.mean_return:.2f} in {cost}"
    record_property("summary", summary)
    assert learned.mean_return > margin(task.world)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_no_player_reaches_the_margin_without_the_target(world):
    smallest = min(margin(world) - returns(player, **world) for player in ("random", "still", "blind"))
    assert smallest > 0.15 * (returns("perfect", **world) - returns("random", **world))


def test_an_untrained_agent_stays_below_the_margin():
    task = TASKS["dreamer_v1_infonce"]
    assert learn(task, "Trainer.train_ratio=0.0", "Trainer.pretrain=3").mean_return < margin(task.world)


def test_every_recipe_has_a_task_or_a_reason_for_having_none():
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
        pixels, bars = step.observation["pixels"], clear.observation["pixels"]
        covered = bars.max(axis=-1) >= SOFTNESS
        np.testing.assert_array_equal(pixels[covered], bars[covered])
        assert pixels[~covered].std() > 20
        step, clear = environment.step(np.ones(1)), plain.step(np.ones(1))


def test_the_default_suite_has_some_of_each_kind_of_behavior():
    assert len(TASKS) == 29
    assert {name for name, task in TASKS.items() if task.fast} == {"dreamer_v1_infonce", "planet", "latent_sac"}
    assert sum(task.world == MEMORY for task in TASKS.values()) >= 3
