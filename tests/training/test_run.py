"""A run trains, stops and resumes, with a closed-form environment, a real store and real files."""

import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import framework
from framework.errors import UserError
from framework.training.checkpoints import Checkpoints
from framework.training.manifest import Manifest
from framework.training.result import Result
from framework.training.run import Run
from framework.training.tags import tags_of
from tests.training.agents import differing, saved


def lines(result: Result) -> list[dict]:
    return [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]


def test_it_trains_to_the_end_and_leaves_everything_in_its_folder(whole: Result) -> None:
    result = whole
    assert result.status == "FINISHED"
    assert result.progress.step == 100
    assert result.progress.updates == 6 * (100 - 30) // (4 * 6)
    assert result.evaluated is not None
    assert result.evaluated.returns == framework.evaluate(str(result.folder)).returns == [55.0, 55.0]
    names = {path.name for path in result.folder.iterdir()}
    assert {"resolved.gin", "operative.gin", "overrides.txt", "metrics.jsonl", "checkpoints", "policy", "run.json"} <= names
    assert result.latest is not None
    assert result.latest.name == "step-00000100"
    assert {line["kind"] for line in lines(result)} >= {"params", "tags", "file", "metrics", "video", "picture", "model", "close"}


def test_it_logs_the_groups_that_the_design_names(whole: Result) -> None:
    names = {name for line in lines(whole) if line["kind"] == "metrics" for name in line["values"]}
    for group in ("train/", "eval/", "model/", "contrastive/", "behavior/", "time/"):
        assert sum(name.startswith(group) for name in names) >= 4, group
    assert 45 <= len(names) <= 70


def test_its_tags_join_several_objectives_by_commas_and_name_the_task_and_what_is_wrapped() -> None:
    bindings = {
        "Run.environment": "@environments.Distractors",
        "Distractors.of": "@environments.DMControl",
        "Distractors.background": "procedural",
        "Agent.objectives": ["@objectives.InfoNCE", "@objectives.BarlowTwins"],
        "InfoNCE.negatives": "@negatives.TopK",
        "TopK.of": "@negatives.CrossSequence",
    }
    run = framework.compose("quickstart", bindings)
    tags = tags_of(run, run.agent())
    assert tags.pop("parameters").startswith("model ")
    assert tags == {
        "recipe": "quickstart",
        "seed": "0",
        "device": "cpu",
        "task": "cartpole_swingup",
        "environment": "Distractors of DMControl",
        "objective": "InfoNCE, BarlowTwins",
        "critic": "BilinearCritic",
        "negatives": "TopK of CrossSequence",
        "bound": "InfoNCEBound",
        "is_lower_bound": "false",
    }


def test_the_recipe_that_a_resumed_run_began_with_stays_its_tag(whole: Result) -> None:
    result = continued(whole, "still_tiny")
    tags = [line["values"].get("recipe") for line in lines(result) if line["kind"] == "tags"]
    assert tags == ["tiny", None]


@pytest.mark.parametrize("take", [framework.resume, framework.evaluate, partial(framework.picture, kind="which")])
def test_a_text_in_the_place_of_bindings_is_refused(take: Callable[..., Any], copy: Path) -> None:
    with pytest.raises(UserError, match=r'`bindings` is the text "Run.seed=1"; write a list'):
        take(str(copy), bindings="Run.seed=1")


def test_two_runs_of_one_seed_are_equal_to_the_bit_and_of_two_seeds_are_not(tiny: Callable[..., Run], whole: Result) -> None:
    assert differing(saved(whole.latest), saved(tiny().train().latest)) == []
    one, other = (tiny(f"Run.seed={seed}").agent().state_dict() for seed in (0, 4))
    assert differing(one, other)


def continued(whole: Result, name: str, *bindings: str, checkpoint: str = "80") -> Result:
    """A copy of a run, resumed from one of its checkpoints with other settings."""
    other = whole.folder.with_name(name)
    shutil.copytree(whole.folder, other, dirs_exist_ok=True)
    return framework.resume(str(other), bindings, checkpoint=checkpoint)


def test_a_resume_with_another_ratio_counts_its_updates_from_its_first_step_and_says_so(
    whole: Result, caplog: pytest.LogCaptureFixture
) -> None:
    """At step 80 12 updates were made, and half of one is owed; then 60 steps are worth 60 updates."""
    result = continued(whole, "other_ratio", "Trainer.train_ratio=24.0", "Trainer.pretrain=9", "Trainer.steps=140")
    assert result.progress.updates == 12 + 60
    assert [record.getMessage() for record in caplog.records if "Resumed" in record.getMessage()] == [
        "Resumed at step 80 with Trainer.steps = 140 (100 before), Trainer.pretrain = 9 (0 before), Trainer.train_ratio = 24.0 "
        "(6.0 before). Updates are counted from here, and the pretraining is over."
    ]


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (["DynamicsBackprop.units=16"], r"behavior\.\S+ is \[8, 12\] there and \[16, 12\] here, and \d+ others differ too; continue"),
        (
            ["Agent.actor_critic=@Reinforce", "Reinforce.value=@values.NormalValue", "Reinforce.replay_value=0.0"],
            r"behavior\.\S+ is \[8, 12\] there and \[256, 12\] here",
        ),
        (
            [
                "Agent.optimizers={'model': @optimizers.LaProp, 'actor': @optimizers.LaProp, 'value': @optimizers.LaProp}",
                "LaProp.learning_rate=1e-3",
            ],
            r"the optimizer of model is one with param_groups, state there and one with means, squares, steps here",
        ),
        (["Replay.capacity=400"], r"has Replay.capacity = 500, and this run's has Replay.capacity = 400"),
        (["Run.environments=2"], r"has Run.environments = 1, and this run's has Run.environments = 2"),
        (["Counting.size=16"], r"observation/pixels = uint8 \[8, 8, 3\], and this run's has observation/pixels = uint8 \[16, 16, 3\]"),
    ],
)
def test_a_resume_with_other_sizes_names_the_parameter_and_the_setting(whole: Result, bindings: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        continued(whole, "other_sizes", *bindings)
    setting = bindings[0].partition("=")[0]
    assert re.search(rf"Changed since the checkpoint: .*{setting} = .* before\)", str(caught.value))


def test_an_evaluation_with_other_sizes_names_them_too(whole: Result) -> None:
    with pytest.raises(
        UserError,
        match=r"\S+weight is \[8, \d\] there and \[9, \d\] here, .* Changed since the checkpoint: GaussianRSSM.hidden = 9 \(8 before\)",
    ):
        framework.evaluate(str(whole.folder), ["GaussianRSSM.hidden=9"])


def test_a_policy_acts_from_a_checkpoint_alone_and_carries_its_latent_until_it_is_reset(whole: Result) -> None:
    assert whole.latest is not None
    policy = framework.load_policy(whole.latest)
    one = {"count": np.ones(1, np.float32), "pixels": np.ones((8, 8, 3), np.uint8)}
    two = {name: np.stack([value, value]) for name, value in one.items()}
    first, second = policy.act(one), policy.act(one)
    assert first.shape == (2,)
    assert not np.array_equal(first, second)
    policy.reset()
    assert np.array_equal(policy.act(one), first)
    policy.reset()
    assert policy.act(two).shape == (2, 2)
    with pytest.raises(UserError, match="observes"):
        policy.act({"count": one["count"]})


def test_a_last_checkpoint_that_cannot_be_written_is_an_error(tiny: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation at the end is the best, and its checkpoint fails first."""
    write = Checkpoints._write

    def write_early_ones(self: Checkpoints, temporary: Path, manifest: Manifest, *others: Any) -> None:
        if manifest.step == 100:
            raise UserError("The disk is full.")
        write(self, temporary, manifest, *others)

    monkeypatch.setattr(Checkpoints, "_write", write_early_ones)
    with pytest.raises(UserError, match="The disk is full"):
        tiny("Tracking.name='unwritten'", "Evaluation.every=100").train()


@pytest.mark.parametrize("device", ["cuda", "tpu", "cuda:x"])
def test_a_device_that_is_not_there_is_named(tiny: Callable[..., Run], device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(UserError, match=r"Runtime\.device"):
        tiny(f"Runtime.device='{device}'")


def test_bfloat16_trains_too_and_the_minutes_bound_it(tiny: Callable[..., Run]) -> None:
    result = tiny("Runtime.precision='bfloat16'", "Trainer.steps=10000000", "Trainer.minutes=0.01").train()
    assert result.status == "FINISHED"
    assert 0.6 <= result.progress.seconds < 20
    assert all(value.dtype == torch.float32 for value in saved(result.latest).values())


def test_a_run_that_turns_out_too_short_for_an_update_is_refused_and_leaves_no_folder(tiny: Callable[..., Run], runs: Path) -> None:
    before, run = sorted(runs.iterdir()), tiny()
    run.trainer.steps = 20  # as where an environment holds its actions for longer than its recipe says
    with pytest.raises(UserError, match="before the first update"):
        run.train()
    assert sorted(runs.iterdir()) == before
