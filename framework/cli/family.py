"""`describe FAMILY`: the contract of a family, as its base classes and its smallest component state it; and the records in it."""

import ast
import inspect
from collections.abc import Iterable, Iterator
from itertools import pairwise
from textwrap import indent
from typing import Any

import click

from framework.cli import output
from framework.cli.new import template
from framework.signatures import FAMILIES, SENTENCE_END, contract_of
from framework.signatures.records import Record, records_of
from framework.text import PACKAGE, read_text

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
        _show_methods(base["methods"])
    click.echo("\nPython passes to the constructor:\n" if facts["derived"] else "\nPython passes nothing to the constructor.")
    for each in facts["derived"]:
        click.echo(f"    {each['name']}: {each['type']}")
    click.echo(f"\nThe smallest example, which `dream new {family} MyComponent` writes:\n\n{facts['example']}")
    if facts["records"]:
        output.sentence(f"Records: {', '.join(facts['records'])}; `dream describe {facts['records'][0]}` has its fields.")


def describe_record(name: str, record: Record, *, as_json: bool) -> None:
    """Print the fields and methods of a record, or the type that a name stands for, and what its module says of all of them."""
    facts = record_facts(name, record)
    if as_json:
        output.as_json(facts)
        return
    output.sentence(f"{name}  {facts['place']}")
    for text in filter(None, (facts["type"] and f"{name} = {facts['type']}", facts["doc"])):
        click.echo(f"\n{output.docstring(text)}")
    if facts["fields"]:
        click.echo()
        output.table(["field", "type", "what"], [[each["name"], each["type"], each["what"]] for each in facts["fields"]])
    _show_methods(facts["methods"])
    click.echo(f"\n{facts['module']['file']}:\n\n{output.docstring(facts['module']['doc'])}")


def record_facts(name: str, record: Record) -> Facts:
    """Everything that `describe` shows of a record."""
    module, definition = record
    tree = ast.parse(read_text(PACKAGE.parent / module.file))
    kind: Facts = {"type": "", "doc": "", "fields": [], "methods": []}
    if isinstance(definition, ast.ClassDef):
        described = _class_facts(module.file, definition)
        kind |= {"doc": described["doc"], "fields": described["attributes"], "methods": described["methods"]}
    else:
        (below,) = (after for node, after in pairwise(tree.body) if node.lineno == definition.lineno)
        kind |= {"doc": _text_of(below), "type": ast.unparse(definition).replace("'", '"')}
    doc = inspect.cleandoc(ast.get_docstring(tree) or "")
    return {"name": name, "place": f"{module.file}:{definition.lineno}", **kind, "module": {"file": module.file, "doc": doc}}


def _show_methods(methods: Iterable[Facts]) -> None:
    """Print the signature and the docstring of each."""
    for method in methods:
        click.echo()
        output.sentence(f"{method['signature']}{'  (must be written)' if method['abstract'] else ''}")
        if method["doc"]:
            click.echo(indent(output.docstring(method["doc"]), "    "))


def family_facts(family: str) -> Facts:
    """Everything that `describe` shows of a family."""
    component, bases = contract_of(family)
    described = [_class_facts(module.file, node) for module, node in reversed(bases)]
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
        "records": [*records_of(family)],
    }


def _class_facts(file: str, node: ast.ClassDef) -> Facts:
    """The place, the docstring, the annotated attributes and the public methods of a class."""
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
        meaning = " ".join(_text_of(below).split()) or _sentence(each.target.id, doc)
        annotation = each.annotation
        if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "ClassVar":
            annotation = annotation.slice
        default = ast.unparse(each.value) if each.value else "must be set"
        yield {"name": each.target.id, "type": ast.unparse(annotation), "default": default, "what": meaning}


def _text_of(node: ast.stmt | None) -> str:
    """The text that a statement is; empty where it is another."""
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return inspect.cleandoc(text)
    return ""


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
