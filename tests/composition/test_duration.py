"""A run that ends before its first update is found by the check, with its line."""

import pytest

from framework.composition import check
from framework.composition.duration import too_short


def texts(*bindings: str) -> list[str]:
    return [str(problem) for problem in check("quickstart", list(bindings))]


@pytest.mark.parametrize(
    ("bindings", "least"),
    [
        (["Trainer.prefill = 600"], 600),
        (["Trainer.prefill = 0"], 24 * 8),
        (["Trainer.prefill = 0", "Replay.length = 10", "Run.environments = 3"], 10 * 3 * 8),
        (["Trainer.prefill = 0", "DMControl.action_repeat = 2"], 24 * 2),
        (["Trainer.prefill = 0", "Run.environment = @environments.Counting"], 24),
    ],
)
def test_a_run_has_the_prefill_and_a_sequence_of_every_environment(bindings: list[str], least: int) -> None:
    assert not any("first update" in text for text in texts(*bindings, f"Trainer.steps = {least}"))
    found = [text for text in texts(*bindings, f"Trainer.steps = {least - 1}") if "first update" in text]
    assert len(found) == 1
    assert found[0].startswith(f"-b 'Trainer.steps = {least - 1}' (number {len(bindings) + 1}): Trainer.steps = {least - 1} end before")
    assert found[0].endswith("bind more Trainer.steps, or a smaller Trainer.prefill and Replay.length.")


def test_training_says_it_in_the_same_words() -> None:
    complaint = too_short(steps=100, prefill=600, length=24, environments=1, action_repeat=8)
    assert complaint is not None
    assert texts("Trainer.prefill = 600", "Trainer.steps = 100") == [f"-b 'Trainer.steps = 100' (number 2): {complaint}"]
