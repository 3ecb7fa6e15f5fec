"""Large matrices, walked over in blocks of rows: what is computed on the way stays in a processor's cache, and little of it is ever held.

A page of memory that is touched for the first time costs a CPU more than the arithmetic on it.
"""

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Shaped
from torch import Tensor

CELLS: Final = 1 << 18
"""Numbers in a block, 1 MiB of float32."""


def row_blocks(matrix: Shaped[Tensor, "N M"], cells: int = CELLS) -> Sequence[slice]:
    """The rows of each block, all of them in one where that is small enough, where the caller is compiled and so fused, or off a CPU.

    An accelerator is asked for each operator by itself, and waits less for memory than for being asked.
    """
    rows, columns = matrix.shape
    whole = torch.compiler.is_compiling() or not matrix.is_cpu
    step = rows if whole else max(1, cells // max(columns, 1))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)] if rows else [slice(0, 0)]
