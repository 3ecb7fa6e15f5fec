import tokenize
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

class ParserDelegate(ABC):
    @abstractmethod
    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> object: ...
    @abstractmethod
    def macro(self, macro_name: str) -> object: ...

class Location(NamedTuple):
    filename: str | None
    line_num: int
    char_num: int | None
    line_content: str

class BindingStatement(NamedTuple):
    scope: str
    selector: str
    arg_name: str
    value: Any
    location: Location

class ImportStatement(NamedTuple):
    module: str
    is_from: bool
    alias: str | None
    location: Location

class IncludeStatement(NamedTuple):
    filename: str
    location: Location

class BlockDeclaration(NamedTuple):
    scope: str
    selector: str
    location: Location

_Statement = BindingStatement | ImportStatement | IncludeStatement | BlockDeclaration

def parse_binding_key(binding_key: str) -> tuple[str, str, str]: ...

class ConfigParser:
    def __init__(self, string_or_filelike: str, parser_delegate: ParserDelegate) -> None: ...
    def __iter__(self) -> Iterator[_Statement]: ...
    def parse_statement(self) -> _Statement | None: ...
    @property
    def current_token(self) -> tokenize.TokenInfo: ...
    def _skip_whitespace_and_comments(self) -> None: ...
    def _current_location(self) -> Location: ...
    def _maybe_parse_container(self) -> tuple[bool, Any]: ...
    def _parse_dict_item(self) -> tuple[object, object]: ...
