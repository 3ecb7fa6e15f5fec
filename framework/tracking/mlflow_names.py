"""Names and texts as MLflow accepts them."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from framework.tracking.store import masked

CHANGED: Final = "changed."
"""Begins the tag of a parameter that a resume changed, since MLflow keeps the first value."""
LONGEST_KEY: Final = 250
LONGEST_PARAMETER: Final = 6000
LONGEST_TAG: Final = 5000


def key(name: str) -> str:
    """A name in which what MLflow refuses is replaced: `train/Adam.betas[0]` becomes `train/Adam.betas_0_`."""
    parts = re.sub(r"[^\w\-. :/]", "_", name).split("/")
    cleaned = "/".join(part for part in parts if part.strip(".")) or "_"
    return cleaned if len(cleaned) <= LONGEST_KEY else f"{cleaned[: LONGEST_KEY - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def texts(parameters: Mapping[str, object]) -> dict[str, str]:
    """Parameters as MLflow stores them."""
    return {key(name): masked(str(value))[:LONGEST_PARAMETER] for name, value in parameters.items()}


def latest_settings(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """The parameters with which a run went on last: MLflow keeps the first ones, and tags hold those that a resume changed."""
    return dict(params) | {name.removeprefix(CHANGED): text for name, text in tags.items() if name.startswith(CHANGED)}
