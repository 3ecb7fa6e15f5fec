"""`new`: a component of one's own that works, to be edited."""

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from framework.errors import UserError
from framework.registry import advice
from framework.signatures import FAMILIES, builtin_components
from framework.text import PACKAGE, display, read_text

TEMPLATES: Final = PACKAGE / "scaffold"
"""A component and a recipe of each family, in which the name `MyComponent` and the module `my_component` are to be replaced."""
EXTENDABLE: Final = tuple(family for family in FAMILIES if family != "parts")
TEST: Final = '''"""`MyComponent` keeps the contract of its family; what it computes itself is tested below."""

from framework.testing import {base}Contract
from my_component import MyComponent


class TestMyComponent({base}Contract):
    """Every test of the contract; `bindings` are those of `dream test -b`."""

    component = MyComponent
    bindings = ()
'''


@click.command("new")
@click.argument("family")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Write there, not here.")
def new_command(family: str, name: str, folder: Path) -> None:
    """Write a component of your own that works, to be edited.

    FAMILY is one that `dream list` shows, NAME a class in CamelCase. Three files are written: the component, a recipe that uses it, and
    a test of its family's contract. None is overwritten.

    \b
    dream new negatives FarAway
    """
    if family not in EXTENDABLE:
        raise UserError(f"There is no family '{family}' to extend{advice(family, EXTENDABLE)}.")
    source = template(family)
    _check_name(name, source)
    module = _module(name)
    _check_module(module, folder)
    texts = {
        f"{module}.py": source,
        f"{module}.gin": read_text(TEMPLATES / f"{family}.gin"),
        f"test_{module}.py": TEST.format(base=FAMILIES[family].base),
    }
    taken = [file for file in texts if (folder / file).exists()]
    if taken:
        raise UserError(f"{display(folder / taken[0])} is there already, and is not overwritten; choose another name or --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text.replace("MyComponent", name).replace("my_component", module), encoding="utf-8")
        click.echo(f"Written: {display(folder / file)}")
    where = "" if folder.resolve() == Path.cwd() else f"cd {folder}\n"
    click.echo(
        f"\n{where}dream test {name} --import {module}\ndream check {module}.gin --deep\npytest test_{module}.py\n"
        f"dream train {module}.gin -b Trainer.minutes=1.0"
    )


def template(family: str) -> str:
    """The source of the smallest component of a family."""
    return read_text(TEMPLATES / f"{family}.py")


def _module(name: str) -> str:
    """`far_away` of `FarAway`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _check_name(name: str, source: str) -> None:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or keyword.iskeyword(name):
        camel = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
        hint = f"; did you mean '{camel}'?" if re.fullmatch(r"[A-Z][A-Za-z0-9]*", camel) and not keyword.iskeyword(camel) else "."
        raise UserError(f"'{name}' is no name of a class: write words in CamelCase, letters and digits alone, as in FarAway{hint}")
    for members in builtin_components().values():
        for component in members.values():
            if component.name.lower() == name.lower():
                raise UserError(f"{component.selector} is built in ({component.place}); choose another name than '{name}'.")
    if re.search(rf"\b{name}\b", source):
        raise UserError(f"'{name}' means something else in the component's file, which imports it; choose another name.")


def _check_module(module: str, folder: Path) -> None:
    """Refuse a file that would hide a module of Python or of an installed package."""
    here = (folder / f"{module}.py").exists()
    if module in sys.stdlib_module_names or keyword.iskeyword(module) or (not here and find_spec(module) is not None):
        raise UserError(f"{module}.py would hide the module '{module}' that Python has already; choose another name.")
