"""`recipes`, `check`, `show` and `diff`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from framework import composition
from framework.cli import options, output
from framework.composition import Plan, Problem
from framework.composition.recipes import find_recipe
from framework.errors import UserError
from framework.tracking.runs import open_run

FIELD: Final = re.compile(r"([A-Z]\w+) {2,}(.*)")


@click.command("recipes")
@options.as_json
def recipes_command(as_json: bool) -> None:
    """List the recipes that are shipped.

    Each can be given to `dream train` by its name, and copied to begin one of your own.

    \b
    dream recipes
    """
    recipes = composition.list_recipes()
    fields = {recipe.name: header_fields(recipe.header) for recipe in recipes}
    if as_json:
        output.as_json([{"name": recipe.name, "file": recipe.path, **fields[recipe.name]} for recipe in recipes])
        return
    rows = [[name, each["summary"], each.get("expected", "")] for name, each in fields.items()]
    output.table(["recipe", "what", "expected result"], rows)


def header_fields(header: str) -> dict[str, str]:
    """The first line of a recipe's header as `summary`, and each field after it: a word, its text, and its indented further lines."""
    summary, *lines = header.splitlines() or [""]
    fields = {"summary": summary}
    name = ""
    for line in lines:
        if field := FIELD.match(line):
            name = field[1].lower()
            fields[name] = field[2]
        elif name and line.startswith(" "):
            fields[name] += f" {line.strip()}"
        else:
            name = ""
    return fields


@click.command("check")
@click.argument("recipes", metavar="RECIPE...", nargs=-1, required=True)
@options.bindings
@options.imports
@options.trust
@options.seed
@click.option("--deep", is_flag=True, help="Also build the agent with numbers, and take one update on a small batch.")
@options.as_json
@click.pass_context
def check_command(
    ctx: click.Context,
    recipes: tuple[str, ...],
    bindings: tuple[str, ...],
    imports: tuple[str, ...],
    trust: bool,
    seed: int | None,
    deep: bool,
    as_json: bool,
) -> None:
    """Check recipes, and show everything that is wrong with them.

    Each recipe is read, and its parts are built without memory: the environment is asked what it shows, and nothing runs. The exit status
    is 2 if anything is wrong.

    \b
    dream check recipes/*.gin
    dream check quickstart --deep -b "DMControl.task='cheetah_run'"
    """
    problems_of = {recipe: _problems(recipe, options.seeded(bindings, seed), imports, trust=trust, deep=deep) for recipe in recipes}
    if as_json:
        facts = {recipe: [vars(each) for each in problems] for recipe, problems in problems_of.items()}
        output.as_json([{"recipe": recipe, "problems": problems} for recipe, problems in facts.items()])
    else:
        for recipe, problems in problems_of.items():
            for problem in problems:
                output.sentence(problem)
            if not problems:
                click.echo(f"{recipe}: nothing is wrong{', and it builds and trains' if deep else ''}.")
    if any(problems_of.values()):
        ctx.exit(2)


def _problems(recipe: str, bindings: Sequence[str], imports: Sequence[str], *, trust: bool, deep: bool) -> list[Problem]:
    try:
        if composition.is_sweep(recipe):
            return _problems_of_sweep(recipe, bindings, imports, trust=trust)
        from framework.training.checks import check

        return check(recipe, bindings, imports=imports, trust=trust, deep=deep)
    except UserError as error:
        return [Problem.at(error.place or composition.Place(recipe, 0), error.message)]


def _problems_of_sweep(recipe: str, bindings: Sequence[str], imports: Sequence[str], *, trust: bool) -> list[Problem]:
    """Everything that is wrong with the file of a sweep, and with each of its cells."""
    from framework.sweeps.cells import check_cells
    from framework.sweeps.source import of_sweep, read_source

    plan = composition.plan(recipe, of_sweep(bindings), imports=imports, trust=trust)
    if plan.problems:
        return list(plan.problems)
    _, mistakes = check_cells(read_source([recipe], bindings, imports=imports, trust=trust))
    places = [(each.place or composition.Place(recipe, 1), each.message) for each in mistakes]
    return list(dict.fromkeys(Problem.at(place, message) for place, message in places))


@click.command("show")
@click.argument("recipe")
@options.bindings
@options.imports
@options.folder
@options.trust
@options.seed
@click.option("--provenance", is_flag=True, help="Add the place of each value.")
@click.option("--ranks", type=click.IntRange(min=1), envvar="WORLD_SIZE", default=1, help="Add what so many ranks have together.")
@options.as_json
def show_command(
    recipe: str,
    bindings: tuple[str, ...],
    imports: tuple[str, ...],
    folder: Path,
    trust: bool,
    seed: int | None,
    provenance: bool,
    ranks: int,
    as_json: bool,
) -> None:
    """Show every value of a recipe.

    RECIPE is a recipe or a run. The output is a recipe by itself, defaults and includes resolved.

    \b
    dream show dreamer_v1 --provenance
    dream show dreamer_v3_infonce --ranks 8
    """
    plan = _plan(recipe, options.seeded(bindings, seed), imports, folder, trust)
    if as_json:
        output.as_json(_values(plan))
        return
    click.echo(composition.show(plan, provenance=provenance), nl=False)
    if ranks > 1:
        click.echo(_totals(plan, ranks))


def _totals(plan: Plan, ranks: int) -> str:
    """What the ranks of a job have together, as a comment."""
    values = {f"{node.key}.{name}": setting.text for node in plan.nodes() for name, setting in node.settings.items()}
    each = {name: values[name] for name in ("Run.environments", "Replay.batch", "Replay.length", "Replay.capacity", "Trainer.train_ratio")}
    environments, batch, length, capacity = (ranks * int(each[name]) for name in [*each][:4])
    return (
        f"\n# {ranks} ranks together: {environments} environments, a replay of {capacity:,} steps, and updates of {batch} sequences, "
        f"{batch * length // ranks:,} steps.\n# Trainer.train_ratio = {each['Trainer.train_ratio']} holds for the steps of all ranks, and "
        "Trainer.steps counts them all."
    )


@click.command("diff")
@click.argument("left")
@click.argument("right")
@options.imports
@options.folder
@options.trust
@options.as_json
def diff_command(left: str, right: str, imports: tuple[str, ...], folder: Path, trust: bool, as_json: bool) -> None:
    """Show where two recipes or runs differ.

    LEFT and RIGHT are recipes or runs: `latest`, a name, an MLflow id, a folder, or the beginning of a name or an id. All their values
    are compared, defaults included.

    \b
    dream diff dreamer_v1 dreamer_v1_infonce
    dream diff quickstart latest
    """
    differences = composition.diff(*(_plan(each, (), imports, folder, trust) for each in (left, right)))
    if as_json:
        output.as_json([vars(each) for each in differences])
    elif not differences:
        click.echo("No value differs.")
    else:
        output.table(["value", left, right], [[each.key, each.left or "-", each.right or "-"] for each in differences])


def _plan(recipe: str, bindings: Sequence[str], imports: Sequence[str], folder: Path, trust: bool) -> Plan:
    plan = composition.plan(_file(recipe, folder), bindings, imports=imports, trust=trust)
    if plan.problems:
        raise UserError("\n".join(str(problem) for problem in plan.problems))
    return plan


def _file(name: str, folder: Path) -> Path:
    """The file of a recipe, or the resolved recipe of a run."""
    try:
        return find_recipe(name)
    except UserError as no_recipe:
        try:
            return open_run(name, folder.absolute()).folder / "resolved.gin"
        except UserError as no_run:
            raise UserError(f"{no_recipe} {no_run}") from no_run


def _values(plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{node.key}.{name}": {
            "value": setting.text,
            "default": setting.binding is None,
            "place": str(setting.binding.place) if setting.binding else setting.parameter.place,
        }
        for node in plan.nodes()
        for name, setting in node.settings.items()
    }
