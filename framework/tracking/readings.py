"""What the process asks of the machine, where psutil is installed."""

import importlib
import importlib.util
import time as clock
from typing import Final, final

GIGABYTE: Final = 1e9


@final
class Readings:
    """Processor and memory of this process: `system/cpu_percent` (100 is one core), `system/memory_gigabytes`.

    They are taken at most every `seconds`, at the environment step that is being recorded.
    """

    def __init__(self, *, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._next = 0.0
        installed = importlib.util.find_spec("psutil") is not None
        self._process = importlib.import_module("psutil").Process() if installed else None

    def take(self) -> dict[str, float]:
        """The readings, or nothing if it is too early for new ones."""
        if self._process is None or clock.monotonic() < self._next:
            return {}
        self._next = clock.monotonic() + self.seconds
        memory = self._process.memory_info().rss / GIGABYTE
        return {"system/cpu_percent": self._process.cpu_percent(), "system/memory_gigabytes": memory}
