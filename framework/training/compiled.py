"""A function whose compiled form stands in for it, made when it is first called."""

import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, ParamSpec, TypeVar, final

from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from framework.errors import UserError

log = logging.getLogger(__name__)
Given = ParamSpec("Given")
Result = TypeVar("Result")
CACHE: Final = "TORCHINDUCTOR_CACHE_DIR"
KEPT: Final = Path.home() / ".cache" / "dream-framework" / "compiled"
"""Where compiled code is, unless the user names another place: torch's own is lost with the machine's temporary files."""


@final
class Compiled(Generic[Given, Result]):
    """Gives what `function` gives, by `compiled`, which is the same function and compiles itself when it is first called.

    The first call says so on standard error. Where it fails, `falls_back` goes on with the function as it is, after one warning; else a
    `UserError` says what to do. `function` must change nothing before it is past what is compiled, since the first call may run it twice.
    """

    def __init__(self, function: Callable[Given, Result], compiled: Callable[Given, Result], *, name: str, falls_back: bool) -> None:
        if os.environ.get(CACHE) in (None, default_cache_dir()):  # torch names its own as soon as it is imported
            os.environ[CACHE] = str(KEPT)
        self.plain, self.name, self.falls_back = function, name, falls_back
        self.chosen: Callable[Given, Result] | None = None
        self._compiled = compiled

    def __call__(self, *given: Given.args, **named: Given.kwargs) -> Result:
        return self.chosen(*given, **named) if self.chosen is not None else self._first(*given, **named)

    def _first(self, *given: Given.args, **named: Given.kwargs) -> Result:
        started = time.monotonic()
        _say(f"Compiling {self.name}: minutes where it is new, seconds where an earlier run left it in {os.environ[CACHE]} ..")
        try:
            result = self._compiled(*given, **named)
        except Exception as error:  # a compiler fails in many ways, and of its classes few are public
            return self._without(error, *given, **named)
        self.chosen = self._compiled
        _say(f"Compiled {self.name} in {time.monotonic() - started:.0f} s.")
        return result

    def _without(self, error: Exception, *given: Given.args, **named: Given.kwargs) -> Result:
        """The function as it is; what is wrong with itself, and not with its compilation, is raised here as it always was."""
        result = self.plain(*given, **named)
        failed = f"torch.compile fails on {self.name} ({_reason(error)})"
        if not self.falls_back:
            raise UserError(f"{failed}; bind Runtime.compile = 'auto' to go on without it where that happens, or 'off'.") from error
        log.warning("%s: it runs uncompiled, as with Runtime.compile = 'off'.", failed)
        self.chosen = self.plain
        return result


def _reason(error: Exception) -> str:
    """The first words of what went wrong inside, without the compiler's own frames."""
    inner: Any = vars(error).get("inner_exception") or error
    words = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"{type(inner).__name__}: {words[0][:200]}" if words else type(inner).__name__


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
