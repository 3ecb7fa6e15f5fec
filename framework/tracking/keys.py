"""Names that MLflow takes."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

LONGEST_KEY: Final = 250


def key(name: str) -> str:
    """A name with what MLflow refuses replaced: `train/Adam.betas[0]` becomes `train/Adam.betas_0_`."""
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    cleaned = "/".join(part for part in parts if part.strip(".")) or "_"
    if len(cleaned) <= LONGEST_KEY:
        return cleaned
    return f"{cleaned[: LONGEST_KEY - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def keys(names: Iterable[str]) -> dict[str, str]:
    """Such a name for each, no two alike."""
    taken: dict[str, str] = {}
    for name in names:
        cleaned, number = key(name), 1
        while cleaned in taken.values():
            number += 1
            cleaned = f"{key(name)[: LONGEST_KEY - 4]}.{number}"
        taken[name] = cleaned
    return taken
