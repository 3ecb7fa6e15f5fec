"""The tags of a run: its parts by name, so that a table over runs can be filtered and grouped by them."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from framework.agent import Agent
from framework.composition.tree import Node

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

    `recipe` is left as it is where a run was `resumed`, since it is then composed from its own folder. `is_lower_bound`: whether each contrastive estimate bounds the mutual information from below. `version.<name>`: of each installed
    distribution that the user's own components come from.
    """
    nodes = list(run.composed.plan.nodes())
    tasks = [node.settings["task"].value for node in nodes if node.component.family == "environments" and "task" in node.settings]
    bounds = [each.is_lower_bound for each in agent.world_model.each_objective if each.is_lower_bound is not None]
    tags = {tag: ", ".join(_names(nodes, family)) for tag, family in FAMILIES.items()}
    tags |= {"task": ", ".join(tasks), "is_lower_bound": ", ".join(str(each).lower() for each in bounds)}
    tags |= {f"version.{name}": version(name) for name in run.composed.distributions()}
    tags |= {"recipe": "" if resumed else run.composed.recipe.stem, "seed": str(run.seed), "device": str(run.runtime.device)}
    tags["parameters"] = ", ".join(f"{name} {count:,}" for name, count in agent.parameter_count().items())
    return {name: text for name, text in tags.items() if text}


def _names(nodes: list[Node], family: str) -> Iterator[str]:
    """The components of a family, in the order of the recipe; a wrapper with what it wraps: `HardWeighted of CrossSequence`."""
    members = [node for node in nodes if node.component.family == family]
    wrapped = {_inner(node) for node in members}
    for node in members:
        if node not in wrapped:
            chain = [node]
            while (inner := _inner(chain[-1])) is not None:
                chain.append(inner)
            yield " of ".join(each.name for each in chain)


def _inner(node: Node) -> Node | None:
    links = node.settings["of"].links if "of" in node.settings else []
    return links[0].node if links else None
