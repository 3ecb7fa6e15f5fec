"""A deep check names the component that breaks its contract, with its file and line, at the binding that names it."""

import re
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from framework import actor_critics, critics, heads, objectives
from framework.actor_critics.wrapper import Wrapper
from framework.data import Factory
from framework.errors import UserError
from framework.heads.reward_head import RewardHead
from framework.specs import LatentSpec, ModelSpecs
from framework.training.dry_run import dry_run
from framework.training.learner import Learner
from framework.training.run import Run

Fault = Literal[
    "none", "mean", "name", "float loss", "no metrics", "float metric", "gradient", "long metric", "no group", "unused", "float diagnosis"
]


@critics.register
class Turned(critics.Critic):
    """Scores in wrong places: a transposed matrix, one in the order of the other side, or less the mean over latents."""

    cost = "one product"

    def __init__(
        self, *, latent: LatentSpec, embedding_size: int, how: Literal["transposed", "reshaped", "centered"] = "transposed"
    ) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)
        self.map, self.how = nn.Linear(latent.feature_size, embedding_size), how

    def score(self, latents, embeddings):
        scores = self.map(latents.features) @ embeddings.T
        if self.how == "centered":
            return scores - scores.mean(dim=0)
        return scores.T if self.how == "transposed" else scores.T.reshape(scores.shape)


@objectives.register
class Broken(objectives.Objective):
    """The square of the latents, with a fault."""

    losses = ("broken",)

    def __init__(self, *, model: ModelSpecs, scale: float = 1.0, fault: Fault = "none") -> None:
        super().__init__(model=model, scale=scale)
        self.map, self.fault = nn.Linear(model.latent.feature_size, 3), fault
        if fault == "unused":
            self.spare = nn.Linear(2, 2)

    def forward(self, inferred, dynamics, key):
        loss = self.map(inferred.features).square().mean(dim=-1)
        size = {"gradient": loss.mean(), "float metric": 0.5, "long metric": loss.detach()}.get(self.fault, loss.detach().mean())
        given = {"mean": loss.mean(), "float loss": 0.5}.get(self.fault, loss)
        losses = {"other" if self.fault == "name" else "broken": given}
        return losses if self.fault == "no metrics" else (losses, {"size" if self.fault == "no group" else "model/size": size})

    def diagnose(self, inferred, dynamics, key):
        return {"model/spread": 0.5} if self.fault == "float diagnosis" else {}


@heads.register
class WideHead(RewardHead):
    """A reward head with a loss of one axis too many."""

    def loss(self, features, batch):
        return super().loss(features, batch)[..., None]


@actor_critics.register
class Idle(Wrapper):
    """A behavior with a parameter that is in none of its groups."""

    def __init__(self, *, model: ModelSpecs, of: Factory[actor_critics.ActorCritic]) -> None:
        super().__init__(model=model, of=of)
        self.spare = nn.Linear(2, 2)

    def act(self, latent, plan, imagine, mode, generator):
        return self.of.act(latent, plan, imagine, mode, generator)


STEPS = "one number for each step of the batch, [B, T] = [2, 6]."
METRIC = "and a metric is a tensor of one number without gradient: write tensor.mean().detach()."
FAULTS = {
    "mean": f"Broken (FILE) gives the loss 'broken' as float32 of shape [] with gradient, and a loss is a float32 tensor, {STEPS}",
    "name": "Broken (FILE) gives the losses ['other'], and declares ['broken']; make the two agree.",
    "float loss": f"Broken (FILE) gives the loss 'broken' as a float, and a loss is a float32 tensor, {STEPS}",
    "no metrics": "Broken (FILE) must give two dictionaries, its losses and its metrics, and gives a dict.",
    "float metric": f"Broken (FILE) gives the metric 'model/size' as a float, {METRIC}",
    "gradient": f"Broken (FILE) gives the metric 'model/size' as float32 of shape [] with gradient, {METRIC}",
    "long metric": f"Broken (FILE) gives the metric 'model/size' as float32 of shape [2, 6], {METRIC}",
    "no group": "Broken (FILE) gives the metric 'size', and a metric has a group before its name, as in 'model/size'.",
    "float diagnosis": f"Broken (FILE) gives the metric 'model/spread' as a float, {METRIC}",
    "unused": (
        "No loss of the group 'model' reaches spare.weight of Broken, spare.bias of Broken: use them in a loss, or freeze them with "
        "requires_grad_(False)."
    ),
}
PLACES = "column j must be that of latent i and embedding j alone: look for a transposed matrix, and for means over a batch."
OTHERS = {
    "a transposed critic": (["InfoNCE.critic=@critics.Turned"], r"Turned\.score gives torch\.float32 of shape \[\d+, \d+\], and must give"),
    "a reshaped critic": (["InfoNCE.critic=@critics.Turned", "Turned.how='reshaped'"], re.escape(PLACES)),
    "a centered critic": (["InfoNCE.critic=@critics.Turned", "Turned.how='centered'"], re.escape(PLACES)),
    "a wide head": (["Agent.heads['reward']=@heads.WideHead"], r"WideHead \(\S+\) gives the loss 'reward' as float32 of shape \[2, 6, 1\]"),
    "a parameter of no group": (
        ["Agent.actor_critic=@actor_critics.Idle", "Idle.of=@actor_critics.DynamicsBackprop"],
        r"spare\.weight of Idle, spare\.bias of Idle belongs to no group of parameters, so that nothing trains it",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_objective_that_breaks_its_contract_is_named(fault: str, tiny: Callable[..., Run]) -> None:
    run = tiny("Agent.objectives+=@objectives.Broken", f"Broken.fault='{fault}'")
    with pytest.raises(UserError) as raised:
        dry_run(run)
    text = re.sub(r"\(\S*test_contract\.py:\d+\)", "(FILE)", str(raised.value))
    assert text == FAULTS[fault]
    assert run.composed.problem(raised.value).place.file == "-b 'Agent.objectives+=@objectives.Broken'"


@pytest.mark.parametrize("name", OTHERS)
def test_a_component_that_breaks_its_contract_is_named(name: str, tiny: Callable[..., Run]) -> None:
    bindings, words = OTHERS[name]
    with pytest.raises(UserError, match=words) as raised:
        dry_run(tiny(*bindings))
    assert "\n" not in str(raised.value)


def test_components_that_keep_their_contract_pass(tiny: Callable[..., Run]) -> None:
    assert dry_run(tiny("Agent.objectives+=@objectives.Broken"))["model/size"] > 0


def test_training_refuses_it_at_the_first_update(tiny: Callable[..., Run]) -> None:
    with pytest.raises(UserError, match=r"Broken \(\S+\) gives the loss 'broken' as float32 of shape \[\]"):
        tiny("Agent.objectives+=@objectives.Broken", "Broken.fault='mean'").train()


def test_a_first_update_that_is_checked_is_the_same(tiny: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> list[Tensor]:
        run = tiny("Agent.objectives+=@objectives.Broken")
        learner = run.learner()
        with closing(learner.vector):
            learner.prefill(40)
            learner.update()
        return [*learner.agent.state_dict().values()]

    checked = trained()
    monkeypatch.setattr(Learner, "_examined", lambda self: nullcontext())
    assert all(torch.equal(one, other) for one, other in zip(checked, trained(), strict=True))
