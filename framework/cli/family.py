"""`describe FAMILY`: the contract of a family, as its base classes and its smallest component state it."""

import ast
import inspect
from collections.abc import Iterator
from textwrap import indent
from typing import Any

import click

from framework.cli import output
from framework.cli.new import template
from framework.signatures import FAMILIES, SENTENCE_END, contract_of

Facts = dict[str, Any]


def describe_family(family: str, *, as_json: bool) -> None:
    """Print what a component of the family must have, what it may have, what Python passes, and the smallest example."""
    facts = family_facts(family)
    if as_json:
        output.as_json(facts)
        return
    output.sentence(f"{family}  {facts['summary']}")
    for base in facts["bases"]:
        click.echo(f"\n{base['name']}  {base['place']}\n\n{output.docstring(base['doc'])}")
        if base["attributes"]:
            click.echo()
            output.table(["attribute", "type", "default", "what"], [[*each.values()] for each in base["attributes"]])
        for method in base["methods"]:
            click.echo()
            output.sentence(f"{method['signature']}{'  (must be written)' if method['abstract'] else ''}")
            click.echo(indent(output.docstring(method["doc"]), "    "))
    click.echo("\nPython passes to the constructor:\n" if facts["derived"] else "\nPython passes nothing to the constructor.")
    for each in facts["derived"]:
        click.echo(f"    {each['name']}: {each['type']}")
    click.echo(f"\nThe smallest example, which `dream new {family} MyComponent` writes:\n\n{facts['example']}", nl=False)


def family_facts(family: str) -> Facts:
    """Everything that `describe` shows of a family."""
    component, bases = contract_of(family)
    described = [_base(module.file, node) for module, node in reversed(bases)]
    meanings: dict[str, str] = {}
    for number, base in enumerate(described):
        nearer = {each["name"] for later in described[number + 1 :] for each in later["methods"] if not each["abstract"]}
        open_ = [each for each in base["methods"] if each["doc"] and not each["final"]]
        methods = [each | {"abstract": each["abstract"] and each["name"] not in nearer} for each in open_]
        base["methods"] = sorted(methods, key=lambda each: not each["abstract"])
        for each in base["attributes"]:
            each["what"] = meanings[each["name"]] = each["what"] or meanings.get(each["name"], "")
    return {
        "family": family,
        "summary": FAMILIES[family].summary,
        "bases": described,
        "derived": [{"name": each.name, "type": each.annotation} for each in component.parameters if each.derived],
        "example": template(family),
    }


def _base(file: str, node: ast.ClassDef) -> Facts:
    doc = inspect.cleandoc(ast.get_docstring(node) or "")
    return {
        "name": node.name,
        "place": f"{file}:{node.lineno}",
        "doc": doc,
        "attributes": [*_attributes(node, doc)],
        "methods": [_method(each) for each in node.body if isinstance(each, ast.FunctionDef) and _is_open(each)],
    }


def _attributes(node: ast.ClassDef, doc: str) -> Iterator[Facts]:
    """The annotated attributes of a class, each with the docstring below it, or with the sentence of the class's docstring about it."""
    for each, below in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name) or each.target.id == "derived":
            continue
        match below:
            case ast.Expr(value=ast.Constant(value=str(text))):
                meaning = " ".join(text.split())
            case _:
                meaning = _sentence(each.target.id, doc)
        annotation = each.annotation
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "ClassVar":
            annotation = annotation.slice
        default = ast.unparse(each.value) if each.value else "must be set"
        yield {"name": each.target.id, "type": ast.unparse(annotation), "default": default, "what": meaning}


def _sentence(name: str, doc: str) -> str:
    """The sentence of a docstring that begins with a name, or has it."""
    sentences = [sentence for part in doc.split("\n\n") for sentence in SENTENCE_END.split(" ".join(part.split()))]
    about = sorted((each for each in sentences if f"`{name}`" in each), key=lambda each: not each.startswith(f"`{name}`"))
    return about[0].removeprefix(f"`{name}`:").strip() if about else ""


def _is_open(method: ast.FunctionDef) -> bool:
    """Whether it is abstract, or one of the public ones."""
    return method.name != "__init__" and ("abstractmethod" in _decorators(method) or not method.name.startswith("_"))


def _method(method: ast.FunctionDef) -> Facts:
    decorators = _decorators(method)
    arguments = ast.unparse(method.args).removeprefix("self").removeprefix(", ")
    call = method.name if any("property" in each for each in decorators) else f"{method.name}({arguments})"
    returns = ast.unparse(method.returns) if method.returns else "None"
    return {
        "name": method.name,
        "signature": f"{call} -> {returns}".replace("'", '"'),
        "doc": inspect.cleandoc(ast.get_docstring(method) or ""),
        "abstract": "abstractmethod" in decorators,
        "final": "final" in decorators,
    }


def _decorators(method: ast.FunctionDef) -> set[str]:
    return {ast.unparse(each) for each in method.decorator_list}
