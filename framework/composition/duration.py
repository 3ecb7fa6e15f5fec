"""Whether a run is long enough to learn anything: a rule of the same kind as those of `specs`, in the words that training has too."""

from collections.abc import Iterator

from framework.composition.problems import Problem
from framework.composition.tree import Node, Plan, walk


def the_run_reaches_an_update(plan: Plan) -> Iterator[Problem]:
    """`Trainer.steps` is not less than the prefill, nor than the first sequence of every environment."""
    run, parts = plan.root, ("trainer", "replay", "environment")
    if run is None or any(None not in run.links(name) for name in parts):
        return
    trainer, replay, environment = (run.links(name)[None].node for name in parts)
    if run.sound("environments") and trainer.sound("steps", "prefill") and replay.sound("length"):
        complaint = too_short(
            steps=trainer.settings["steps"].value,
            prefill=trainer.settings["prefill"].value,
            length=replay.settings["length"].value,
            environments=run.settings["environments"].value,
            action_repeat=_action_repeat(environment),
        )
        if complaint is not None:
            yield Problem.at(trainer.place_of("steps"), complaint)


def too_short(*, steps: int, prefill: int, length: int, environments: int, action_repeat: int) -> str | None:
    """What is wrong with a run that ends before the replay has what its first update takes."""
    sequence = length * environments * action_repeat
    if steps >= max(prefill, sequence):
        return None
    return (
        f"Trainer.steps = {steps} end before the first update: the prefill takes {prefill} environment steps, and one sequence of "
        f"Replay.length = {length} takes {sequence} in {environments} environments with an action repeat of {action_repeat}; "
        f"bind more Trainer.steps, or a smaller Trainer.prefill and Replay.length."
    )


def _action_repeat(environment: Node) -> int:
    """As far as a recipe says it: an environment of one's own may have another."""
    said = [node.settings["action_repeat"].value for node in walk(environment) if node.sound("action_repeat")]
    return next((value for value in said if isinstance(value, int)), 1)
