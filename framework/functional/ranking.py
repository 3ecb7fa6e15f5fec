"""The order of some entries in every row of a matrix, without a shape that depends on how many they are, and without sorting the rest."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float32, Int, Int32
from torch import Tensor

from framework.functional.masking import only
from framework.functional.random import BELOW_LOTS, Key, lots
from framework.functional.row_blocks import row_blocks

Rows = npt.NDArray[np.int32]
Booleans = npt.NDArray[np.bool_]
Values = Float32[Tensor, "N M"] | Int32[Tensor, "N M"]
LOWEST: Final = -(1 << 31)
"""From here on for a little, below every value: what stands for an entry that does not count, so that few are equal."""
BUT_THE_SIGN: Final = (1 << 31) - 1


Place = int | Int[Tensor, "N 1"]


def placed(values: Values, among: Bool[Tensor, "N M"], *, first: Place = 0, last: Place, most: int) -> Bool[Tensor, "N M"]:
    """Which entries come from place `first` to before `last` when those of a row that are `among` are put in descending order.

    The highest has place 0, and no place from `most` on is looked at, which is what it costs: each row is sorted only so far. A row that
    has fewer gives what it has. Integers are lots. Of equal values any may come first, the same one each time.
    Gradients: none.
    """
    values = values.detach()
    return torch.cat(
        [_placed(values[rows], among[rows], _of(first, rows), _of(last, rows), most) for rows in row_blocks(among)],
    )


def drawn(key: Key, among: Bool[Tensor, "N M"], *, number: Place, most: int) -> Bool[Tensor, "N M"]:
    """Draw `number` entries of each row, at most `most`, uniformly without replacement from those that are `among`.

    A row that has fewer gives what it has. The same seed puts the entries in the same order, whichever of them are `among`.
    """
    return drawn_of_each(key, [(among, number)], most=most)


def drawn_of_each(key: Key, groups: Sequence[tuple[Bool[Tensor, "N M"], Place]], *, most: int) -> Bool[Tensor, "N M"]:
    """Draw from each of some groups that share no entry, each its own number: as `drawn` of each would, for the price of one lot."""
    columns = groups[0][0].shape[1]

    def of(rows: slice) -> Bool[Tensor, "R M"]:
        order = lots(key, rows, columns)
        return reduce(torch.bitwise_or, (_placed(order, among[rows], 0, _of(number, rows), most) for among, number in groups))

    return torch.cat([of(rows) for rows in row_blocks(groups[0][0])])


def _placed(values: Values, among: Bool[Tensor, "N M"], first: Place, last: Place, most: int) -> Bool[Tensor, "N M"]:
    below = LOWEST + torch.arange(among.shape[1], dtype=torch.int32, device=values.device) % BELOW_LOTS
    order = only(_integers(values), among, below)
    return in_places(order, _column(first, order), _column(last, order), most) & among


def by_topk(order: Tensor, first: Tensor, last: Tensor, most: int) -> Tensor:
    """Which integers of each row come in these places, counted down from the highest; of equal ones any may come first."""
    highest = order.topk(most, dim=1).indices
    place = torch.arange(most, device=order.device)
    return torch.zeros_like(order, dtype=torch.bool).scatter(1, highest, (place >= first) & (place < last))


in_places = torch.library.custom_op("framework::in_places", by_topk, mutates_args=())
"""A CPU has its own way: numpy finds and sorts integers by vector instructions, in a fraction of the time, unless many are equal."""


@in_places.register_fake
def _(order: Tensor, first: Tensor, last: Tensor, most: int) -> Tensor:
    return torch.empty_like(order, dtype=torch.bool)


@in_places.register_kernel("cpu")
def _(order: Tensor, first: Tensor, last: Tensor, most: int) -> Tensor:
    rows = order.numpy()
    looked_at = min(most + 1, rows.shape[1])
    ranked = np.sort(np.partition(rows, -looked_at, axis=1)[:, -looked_at:], axis=1)[:, ::-1]
    found = _before(last.clamp(max=most), rows, ranked)
    return torch.from_numpy(found & ~_before(first.clamp(max=most), rows, ranked) if first.any() else found)


def _before(place: Tensor, rows: Rows, ranked: Rows) -> Booleans:
    """Which come before a place, where all are ranked to the next: those that reach the last of them, less those too many that equal it."""
    number = place.numpy().clip(min=0)
    lowest = np.take_along_axis(ranked, (number - 1).clip(min=0), axis=1)
    following = np.take_along_axis(ranked, number.clip(max=ranked.shape[1] - 1), axis=1)
    found = (rows >= lowest) & (number > 0)
    for row in np.flatnonzero((following == lowest) & (number > 0) & (number < rows.shape[1])):
        equal = np.flatnonzero(rows[row] == lowest[row])
        found[row, equal[number[row, 0] - np.count_nonzero(rows[row] > lowest[row]) :]] = False
    return found


def _column(place: Place, order: Int32[Tensor, "N M"]) -> Int[Tensor, "N 1"]:
    """The same place in every row is filled in on the device: a copy from the host could not be captured."""
    return order.new_full((len(order), 1), place, dtype=torch.int64) if isinstance(place, int) else place


def _of(place: Place, rows: slice) -> int | Int[Tensor, "R 1"]:
    return place if isinstance(place, int) else place[rows]


def _integers(values: Values) -> Int32[Tensor, "N M"]:
    """Numbers in the same order, which are faster to compare: the bits of a float, those of a negative one the other way round."""
    if values.dtype == torch.int32:
        return values
    bits = values.contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & BUT_THE_SIGN)
