"""`list` and `describe`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from framework.cli import options, output
from framework.cli.new import EXTENDABLE
from framework.errors import UserError
from framework.registry import components, plugins
from framework.signatures import FAMILIES, Component, Parameter
from framework.signatures.records import all_records


@click.command("list")
@click.argument("family", required=False)
@options.imports
@options.as_json
def list_command(family: str | None, imports: tuple[str, ...], as_json: bool) -> None:
    """List the components that a recipe can name.

    Without FAMILY, every family and its members; with it, each member in a line. Installed plugins are among them.

    \b
    dream list
    dream list critics
    """
    import_modules(imports)
    failed = [plugin for plugin in plugins() if plugin.error]
    families = [family] if family else list(FAMILIES)
    members = {name: components(name) for name in families}
    if as_json:
        listed = {
            name: {"summary": FAMILIES[name].summary, "components": list(map(_brief, of_family.values()))}
            for name, of_family in members.items()
        }
        output.as_json({"families": listed, "failed_plugins": [vars(plugin) for plugin in failed]})
    elif family:
        output.sentence(f"{FAMILIES[family].summary}\n")
        output.table(["component", "what", "where"], [[each.name, each.summary, each.place] for each in members[family].values()])
    else:
        output.table(["family", "components", "what"], [[name, ", ".join(members[name]), FAMILIES[name].summary] for name in families])
    if failed and not as_json:
        click.echo()
        output.table(["plugin that failed", "package", "why"], [[each.module, each.distribution, each.error] for each in failed])


@click.command("describe")
@click.argument("component")
@options.imports
@options.as_json
def describe_command(component: str, imports: tuple[str, ...], as_json: bool) -> None:
    """Describe one component: what it is and what it takes; or the contract of a family, or a record in it.

    COMPONENT is a name as recipes write it, `InfoNCE` or `objectives.InfoNCE`; a family that can be extended; or what a method of its
    contract takes or gives.

    \b
    dream describe GaussianCritic
    dream describe objectives
    dream describe InferredBatch
    """
    from framework.cli.family import describe_family, describe_record
    from framework.composition.catalog import Catalog

    import_modules(imports)
    if component in EXTENDABLE:
        describe_family(component, as_json=as_json)
        return
    records = {} if Catalog().find(component) else all_records()
    if component in records:
        describe_record(component, records[component], as_json=as_json)
        return
    described = find_component(component, [*EXTENDABLE, *records])
    recipes, holders = sorted(_recipes(described)), sorted(_holders(described))
    facts = {name: value for name, value in described.facts.items() if name != "derived"}
    if as_json:
        parameters = [
            {"name": each.name, "type": each.annotation, "default": each.default, "required": each.required, "derived": each.derived}
            for each in described.parameters
        ]
        uses = {"held_by": holders, "recipes": recipes}
        output.as_json({**_brief(described), "doc": described.doc, "parameters": parameters, "facts": facts, **uses})
        return
    output.sentence(f"{described.selector}  {described.place}")
    click.echo(f"\n{output.docstring(described.doc)}\n")
    if described.parameters:
        output.table(
            ["parameter", "type", "default"], [[each.name, short_type(each.annotation), _default(each)] for each in described.parameters]
        )
        click.echo()
    output.pairs(
        [
            ("Facts", ", ".join(f"{name} = {value!r}" for name, value in facts.items())),
            ("Bound by", ", ".join(holders)),
            ("Recipes", ", ".join(recipes) or "none of those that are shipped"),
        ]
    )


def import_modules(modules: Sequence[str]) -> None:
    """Import a user's modules, as a recipe in the working directory would."""
    for module in modules:
        from framework.composition.modules import import_module

        import_module(module, Path.cwd() / "recipe.gin")


def find_component(name: str, others: Sequence[str] = ()) -> Component:
    """The component of a name as recipes write it; `others` are names that may have been meant as well."""
    if name.endswith(".py"):
        module = name.removesuffix(".py")
        raise UserError(f"'{name}' is a file: name the class in it, with --import {module.replace('/', '.')}.")
    from framework.composition.catalog import Catalog

    catalog = Catalog()
    components_of_name = catalog.find(name)
    if len(components_of_name) != 1:
        complaint = catalog.complain(name, others=others)
        raise UserError(f"{complaint[0].upper()}{complaint[1:]}.")
    return components_of_name[0]


def _recipes(component: Component) -> Iterator[str]:
    """The shipped recipes that refer to a component, by their text alone: nothing that they import is imported."""
    from framework.composition import list_recipes
    from framework.composition.includes import read
    from framework.composition.values import Reference, leaves

    for recipe in list_recipes():
        values = {each.key: each.value for each in read(recipe.path).bindings}.values()
        selectors = {leaf.selector for value in values for leaf in leaves(value) if isinstance(leaf, Reference)} | {"Run"}
        if selectors & {component.name, component.selector}:
            yield recipe.name


def _holders(component: Component) -> Iterator[str]:
    """The settings that take such a component."""
    base = component.name if component.family == "parts" else FAMILIES[component.family].base
    forms = f"Factory[{base}]", f"Callable[..., {base}]"
    for family in FAMILIES:
        for holder in components(family).values():
            yield from (f"{holder.name}.{each.name}" for each in holder.settings if any(form in each.annotation for form in forms))


def _brief(component: Component) -> dict[str, Any]:
    return {name: getattr(component, name) for name in ("family", "name", "summary", "file", "line", "builtin")}


def short_type(annotation: str) -> str:
    """A type as a constructor here writes it; those of a user's own components come with the modules of their names."""
    short = re.sub(r"('[^']*'|\"[^\"]*\")|\b(?:\w+\.)+(?=\w)", lambda match: match[1] or "", annotation)
    return re.sub(r"Callable\[\.\.\., (\w+)\]", r"Factory[\1]", short)


def _default(parameter: Parameter) -> str:
    return "passed by Python" if parameter.derived else parameter.default or "required"
