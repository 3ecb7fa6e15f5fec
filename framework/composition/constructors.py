"""What the constructors of a recipe's components would refuse, read from their source."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from framework.composition.foresight import foresee
from framework.composition.problems import Place, Problem
from framework.composition.reading import UNKNOWN, NotKnown, Reading, Refusal
from framework.composition.tree import Link, Node, Plan, PythonDefault
from framework.errors import UserError
from framework.signatures import PACKAGE, Component, Lineage, display, lineage
from framework.source_text import Module


def constructors_refuse_nothing(plan: Plan) -> Iterator[Problem]:
    """No constructor raises a `UserError` because of the settings, as far as its source says so."""
    found = Construction(display(plan.recipe))
    known = {"specs": found.specs(plan)}
    if plan.root is not None and plan.root.sound("environments"):
        known["streams"] = plan.root.settings["environments"].value
    for node in (each for each in plan.nodes() if each not in found.built):
        found.build(node, **{each.name: known.get(each.name, UNKNOWN) for each in node.component.parameters if each.derived})
    yield from found.problems


@final
class Construction:
    """Follows components, each with those that it holds; what one refuses is a problem of its own, and does not end the others."""

    def __init__(self, recipe: str = "") -> None:
        self.recipe = recipe
        self.reading = Reading()
        self.problems: list[Problem] = []
        self.built: set[Node] = set()

    def specs(self, plan: Plan) -> Any:
        """What the environment shows and takes; one that is asked may refuse its settings itself."""
        try:
            return foresee(plan)
        except UserError as error:
            assert plan.root is not None
            self.problems.append(Problem.at(plan.root.place_of("environment"), str(error)))
        return UNKNOWN

    def build(self, node: Node, **derived: Any) -> Any:
        """What would come of a component, with what Python passes to it."""
        self.built.add(node)
        ancestry = _ancestry(node.component)
        if not ancestry:
            return UNKNOWN
        named = {name: self._given(setting.value) if setting.sound else UNKNOWN for name, setting in node.settings.items()}
        try:
            return self.reading.construct(ancestry, node.component.facts, (), named | derived)
        except Refusal as refusal:
            if message := str(refusal):
                self.problems.append(Problem.at(_place(node, message, self.recipe), message))
        except NotKnown:
            pass
        return UNKNOWN

    def _given(self, value: Any) -> Any:
        match value:
            case Link(node=node):
                return lambda **derived: self.build(node, **derived)
            case list() | tuple():
                return type(value)(self._given(each) for each in value)
            case dict():
                return {key: self._given(each) for key, each in value.items()}
            case PythonDefault():
                return UNKNOWN
        return value


def _ancestry(component: Component) -> Lineage:
    """The class and those that it derives from; nothing where it has no source, as in a notebook."""
    file = PACKAGE.parent / component.file if component.builtin else getattr(sys.modules.get(component.module), "__file__", None)
    if file is None:
        return ()
    path = Path(file).resolve()
    above = component.module.count(".") - (path.name != "__init__.py")
    module = Module.of_file(path, PACKAGE if component.builtin else path.parents[max(above, 0)])
    node = module.classes.get(component.name)
    return () if node is None else tuple(lineage(module, node))


def _place(node: Node, message: str, recipe: str) -> Place:
    """Where the setting was bound that the message names, or whose component it names; where the component itself was if there is none."""
    named = [name for name in re.findall(rf"\b{node.name}\.(\w+)", message) if name in node.settings]
    named += [name for name in node.settings if any(link.node.name in message for link in node.links(name).values())]
    return node.nearest(named, recipe)
