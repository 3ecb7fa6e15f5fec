"""Returns that others published, each with its source, from `published.csv`."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


@cache
def published() -> "DataFrame":
    """A row for each number: `task`, `observation`, `method`, environment `steps`, `mean`, `sd` over `seeds`, `kind_of_return`, `source`.

    `sd` and `seeds` are empty where the source has none; `kind_of_return` is `evaluation`, `training` or `not stated`.
    """
    import pandas as pd

    return pd.read_csv(Path(__file__).with_name("published.csv")).astype({"seeds": "Int64"})
