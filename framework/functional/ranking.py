"""The order of some entries in every row of a matrix, without a shape that depends on how many they are, and without sorting the rest."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import torch
from jaxtyping import Bool, Float32, Int, Int32
from torch import Tensor

from framework.functional.hashing import Seed, lots
from framework.functional.row_blocks import row_blocks

Values = Float32[Tensor, "N M"] | Int32[Tensor, "N M"]
LOWEST: Final = -(1 << 31)
"""Below every value: what stands for an entry that does not count."""
BUT_THE_SIGN: Final = (1 << 31) - 1


Place = int | Int[Tensor, "N 1"]


def placed(values: Values, among: Bool[Tensor, "N M"], *, first: Place = 0, last: Place, most: int) -> Bool[Tensor, "N M"]:
    """Which entries come from place `first` to before `last` when those of a row that are `among` are put in descending order.

    The highest has place 0, and no place from `most` on is looked at, which is what it costs: each row is sorted only so far. A row that
    has fewer gives what it has. Integers are above the lowest of their kind. Of equal values any may come first, the same one each time.
    Gradients: none.
    """
    values = values.detach()
    return torch.cat(
        [_placed(values[rows], among[rows], _of(first, rows), _of(last, rows), most) for rows in row_blocks(among)],
    )


def drawn(seed: Seed, among: Bool[Tensor, "N M"], *, number: Place, most: int) -> Bool[Tensor, "N M"]:
    """Draw `number` entries of each row, at most `most`, uniformly without replacement from those that are `among`.

    A row that has fewer gives what it has. The same seed puts the entries in the same order, whichever of them are `among`.
    """
    return drawn_of_each(seed, [(among, number)], most=most)


def drawn_of_each(seed: Seed, groups: Sequence[tuple[Bool[Tensor, "N M"], Place]], *, most: int) -> Bool[Tensor, "N M"]:
    """Draw from each of some groups that share no entry, each its own number: as `drawn` of each would, for the price of one lot."""
    columns = groups[0][0].shape[1]

    def of(rows: slice) -> Bool[Tensor, "R M"]:
        order = lots(seed, rows, columns)
        return reduce(torch.bitwise_or, (_placed(order, among[rows], 0, _of(number, rows), most) for among, number in groups))

    return torch.cat([of(rows) for rows in row_blocks(groups[0][0])])


def _placed(values: Values, among: Bool[Tensor, "N M"], first: Place, last: Place, most: int) -> Bool[Tensor, "N M"]:
    order = _integers(values).masked_fill(~among, LOWEST).topk(most, dim=1).indices
    place = torch.arange(most, device=values.device)
    inside = ((place >= first) & (place < last)).expand_as(order)
    return among & torch.zeros_like(among).scatter(1, order, inside)


def _of(place: Place, rows: slice) -> int | Int[Tensor, "R 1"]:
    return place if isinstance(place, int) else place[rows]


def _integers(values: Values) -> Int32[Tensor, "N M"]:
    """Numbers in the same order, which are faster to compare: the bits of a float, those of a negative one the other way round."""
    if values.dtype == torch.int32:
        return values
    bits = values.contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & BUT_THE_SIGN)
