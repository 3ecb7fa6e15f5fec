"""The page about notebooks is run as written, with fewer steps, and shows what its objects print."""

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch

import framework
from framework.errors import UserError
from framework.functional.random import new_key
from framework.training.run import Run

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "notebook.md"
SHORTER = {"1_000": "400", "range(200)": "range(2)", "max_steps=200": "max_steps=20"}
CELL = re.compile(r"^```python\n([\s\S]*?)^```\n(?:\n((?: {4}.*\n)+))?", re.MULTILINE)


def test_its_cells_run_in_order_and_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = CELL.findall(PAGE.read_text())
    names: dict[str, Any] = {}
    request.addfinalizer(names.clear)
    request.addfinalizer(lambda: plt.close("all"))
    shown = 0
    for source, output in cells:
        for long, short in SHORTER.items():
            source = source.replace(long, short)
        exec(source, names)
        if output:
            shown += 1
            last = source.strip().splitlines()[-1]
            assert repr(names[last]) == re.sub("^ {4}", "", output, flags=re.MULTILINE).strip(), last
    assert (len(cells), shown) == (8, 4)
    assert names["metrics"]["train/model_loss"].isfinite()
    assert names["probability"].sum(dim=1).allclose(torch.ones(200))
    assert Path("scores.png").stat().st_size > 5_000
    assert len(names["played"].returns) == 2


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Run:
    return framework.compose("quickstart", {"Replay.batch": 3, "Replay.length": 5, "Agent.horizon": 2})


def test_a_run_an_agent_and_a_batch_take_a_short_screen_each(quick: Run) -> None:
    learner = quick.learner()
    learner.prefill(60)
    batch = learner.replay.sample()
    for each in (quick, learner.agent, batch, learner.agent.infer(batch), batch.extra):
        assert len(repr(each).splitlines()) <= 20
        assert max(map(len, repr(each).splitlines())) < 80


def test_an_inferred_batch_is_equal_at_every_call_and_follows_a_generator(quick: Run) -> None:
    learner = quick.learner()
    learner.prefill(60)
    agent, batch = learner.agent, learner.replay.sample()
    one, other = agent.infer(batch), agent.infer(batch)
    drawn = agent.infer(batch, torch.Generator().manual_seed(1))
    assert torch.equal(one.posterior.stochastic, other.posterior.stochastic)
    assert not torch.equal(one.posterior.stochastic, drawn.posterior.stochastic)
    assert not any(each.requires_grad for each in (one.embedding, one.posterior.stochastic, one.prior.deterministic))
    noise = torch.zeros_like(one.posterior.stochastic)
    assert torch.equal(agent.world_model.observe(batch, noise).embedding, one.embedding)


CONTRASTIVE = {
    "InfoNCE with a strategy": {"InfoNCE.negatives": "@negatives.CrossSequence"},
    "TemporalPredictive": {
        "Agent.objectives": ["@objectives.TemporalPredictive"],
        "TemporalPredictive.critic": "@critics.BilinearCritic",
        "TemporalPredictive.negatives": "@negatives.InBatch",
    },
    "ActionConditionedCPC": {
        "Agent.objectives": ["@objectives.ActionConditionedCPC"],
        "ActionConditionedCPC.critic": "@critics.BilinearCritic",
        "ActionConditionedCPC.negatives": "@negatives.InBatch",
        "ActionConditionedCPC.positive": "embedding",
        "ActionConditionedCPC.steps": 2,
    },
}


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_a_contrast_holds_the_scores_and_the_origins_of_every_step(name: str) -> None:
    run = framework.compose("quickstart", {"Replay.batch": 3, "Replay.length": 5} | CONTRASTIVE[name])
    learner = run.learner()
    learner.prefill(60)
    agent = learner.agent
    (objective,) = agent.world_model.each_objective
    inferred = agent.infer(learner.replay.sample())
    contrast = objective.contrast(inferred)
    size = 12 if name == "TemporalPredictive" else 15  # the first step of each sequence warms up
    assert contrast.scores.shape == contrast.log_weights.shape == (size, size)
    assert not contrast.scores.requires_grad
    assert contrast.anchors.row.tolist() == [row for row in range(3) for _ in range(size // 3)]
    if name.startswith("InfoNCE"):
        same = contrast.anchors.row[:, None] == contrast.candidates.row
        assert torch.equal(contrast.log_weights.isneginf(), same & ~torch.eye(size, dtype=torch.bool))
        expected = objective.critic(inferred.posterior.flatten(), inferred.embedding.flatten(0, 1))
        assert torch.allclose(contrast.scores, expected)


def test_a_strategy_that_predicts_needs_the_dynamics_and_one_that_draws_follows_a_key() -> None:
    settings = {"InfoNCE.anchor": "prior", "InfoNCE.negatives": "@negatives.ActionNegatives", "ActionNegatives.count": 2}
    run = framework.compose("quickstart", {"Replay.batch": 3, "Replay.length": 5} | settings)
    learner = run.learner()
    learner.prefill(60)
    agent = learner.agent
    (objective,), inferred = agent.world_model.each_objective, agent.infer(learner.replay.sample())
    with pytest.raises(UserError, match="ActionNegatives needs a world model to predict other actions"):
        objective.contrast(inferred)
    dynamics, key = agent.world_model.dynamics, new_key(torch.Generator().manual_seed(1))
    one, again, other = (objective.contrast(inferred, dynamics, each).scores for each in (None, None, key))
    assert one.shape == (15, 17)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_an_objective_without_a_contrast_says_so(quick: Run) -> None:
    run = framework.compose("quickstart", {"Replay.batch": 3, "Replay.length": 5, "Agent.objectives": ["@objectives.BarlowTwins"]})
    learner = run.learner()
    learner.prefill(60)
    agent = learner.agent
    with pytest.raises(UserError, match="BarlowTwins scores no latents against candidates; ask an objective that does, such as InfoNCE"):
        agent.world_model.each_objective[0].contrast(agent.infer(learner.replay.sample()))
