"""Recipes made small learn: in a world of closed form each beats random actions by a margin that was fixed before.

`make smoke` runs all of them, each in under a minute; the fast ones are in the default suite.
"""

import pytest

from tests.smoke.learning import learn, margin, returns
from tests.smoke.tasks import MEMORY, TASKS, Task

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
    assert least > 0.1 * (returns("perfect", **world) - returns("random", **world))


def test_nothing_learned_is_not_enough():
    """The margin is one of learning: with few updates no agent reaches it."""
    task = TASKS["dreamer_v1_infonce"]
    assert learn(task, "Trainer.train_ratio=0.0", "Trainer.pretrain=3").value < margin(task.world)


def test_the_default_suite_has_some_of_each_kind_of_behaviour():
    assert len(TASKS) > 20
    assert {name for name, task in TASKS.items() if task.fast} == {"dreamer_v1_infonce", "planet", "latent_sac"}
    assert sum(task.world == MEMORY for task in TASKS.values()) >= 3
