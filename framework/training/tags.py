"""The parts of a run by name: its tags in MLflow, by which a table over runs is filtered and grouped, and its `repr`."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from framework.agent import Agent
from framework.text import aligned

if TYPE_CHECKING:
    from framework.training.run import Run

FAMILIES: Final[Mapping[str, str]] = {
    "environment": "environments",
    "objective": "objectives",
    "critic": "critics",
    "negatives": "negatives",
    "bound": "bounds",
}


def tags_of(run: "Run", agent: Agent, *, resumed: bool = False) -> dict[str, str]:
    """The tags of a run; several components of one family are joined by commas, and a family without one has no tag.

    `recipe` is left as it is where a run was `resumed`, since it is then composed from its own folder. `is_lower_bound`: whether each
    contrastive estimate bounds the mutual information from below. `version.<name>`: of each installed distribution that the user's own
    components come from.
    """
    bounds = [each.is_lower_bound for each in agent.world_model.each_objective if each.is_lower_bound is not None]
    tags = _parts(run) | {"is_lower_bound": ", ".join(str(each).lower() for each in bounds)}
    tags |= {f"version.{name}": version(name) for name in run.composed.distributions()}
    tags |= {"recipe": "" if resumed else run.composed.recipe.stem, "seed": str(run.seed), "device": str(run.runtime.device)}
    tags["parameters"] = ", ".join(f"{name} {count:,}" for name, count in agent.parameter_count().items())
    return {name: text for name, text in tags.items() if text}


def described(run: "Run") -> str:
    """A run in one short screen. Nothing is built for it."""
    settings, plan = run.composed.parameters(), run.composed.plan
    facts = {"recipe": run.composed.recipe.stem, "seed": str(run.seed), "device": str(run.runtime.device)} | _parts(run)
    facts |= {part: plan.names(part) for part in ("encoders", "dynamics", "heads", "actor_critics")}
    replay = ("capacity", "batch", "length")
    facts["replay"] = ", ".join(f"{name} {settings[f'Replay.{name}']:,}" for name in replay)
    facts["training"] = f"{run.trainer.steps:,} environment steps, {run.environments} at once"
    return aligned("Run", {name: text for name, text in facts.items() if text})


def _parts(run: "Run") -> dict[str, str]:
    plan = run.composed.plan
    tasks = [node.settings["task"].value for node in plan.nodes() if node.component.family == "environments" and "task" in node.settings]
    return {"task": ", ".join(tasks)} | {tag: plan.names(family) for tag, family in FAMILIES.items()}
