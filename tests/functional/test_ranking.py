"""Places in a row, against sorting in Python, and what no place may depend on."""

import pytest
import torch
from torch import Tensor

from framework.functional.random import lots
from framework.functional.ranking import by_topk, drawn, drawn_of_each, in_places, placed
from framework.functional.row_blocks import row_blocks
from tests.tiny import normal, seed_of

ROWS, COLUMNS = 7, 20


def some(seed: int = 1) -> Tensor:
    """About half of the entries; none of the first row, one of the second, all of the third."""
    among = normal(ROWS, COLUMNS, seed=seed) > 0
    among[0], among[1], among[2] = False, torch.arange(COLUMNS) == 3, True
    return among


def naive(values: Tensor, among: Tensor, first: list[int], last: list[int], most: int) -> Tensor:
    found = torch.zeros_like(among)
    for row in range(len(values)):
        order = sorted((column for column in range(values.shape[1]) if among[row, column]), key=lambda column: -values[row, column].item())
        for column in order[first[row] : max(0, min(last[row], most))]:
            found[row, column] = True
    return found


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize(("first", "last", "most"), [(0, 1, 1), (0, 5, 5), (3, 8, 20), (0, 20, 20), (5, 5, 9), (2, 9, 6)])
def test_it_equals_sorting_every_row(scale, first, last, most):
    values, among = scale * normal(ROWS, COLUMNS), some()
    found = placed(values, among, first=first, last=last, most=most)
    assert torch.equal(found, naive(values, among, [first] * ROWS, [last] * ROWS, most))


def test_every_row_may_ask_for_other_places():
    values, among = normal(ROWS, COLUMNS), some()
    first, last = [0, 0, 2, 5, 1, 0, 3], [4, 1, 9, 5, 20, 0, 4]
    found = placed(values, among, first=torch.tensor(first)[:, None], last=torch.tensor(last)[:, None], most=12)
    assert torch.equal(found, naive(values, among, first, last, 12))
    assert found.sum() == 0 + 1 + 7 + 0 + (among[4].sum() - 1).clamp(max=11) + 0 + 1


def test_integers_are_put_in_order_as_they_are():
    values, among = lots(seed_of(0), slice(0, ROWS), COLUMNS), some()
    assert (values < 0).any()
    assert torch.equal(placed(values, among, last=4, most=4), naive(values, among, [0] * ROWS, [4] * ROWS, 4))


def test_a_value_that_is_not_among_them_changes_nothing():
    values, among = normal(ROWS, COLUMNS), some()
    spoilt = values.masked_fill(~among, torch.inf)
    assert torch.equal(placed(values, among, last=4, most=4), placed(spoilt, among, last=4, most=4))


def test_an_infinitely_low_value_counts():
    values = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0]])
    among = torch.tensor([[True, True, False, True]])
    assert placed(values, among, last=3, most=3).tolist() == [[True, True, False, True]]


def test_of_equal_values_it_takes_as_many_as_it_is_asked_for():
    for equal in (0.0, -3.0, 1e30):
        found = placed(torch.full((ROWS, COLUMNS), equal), torch.ones(ROWS, COLUMNS, dtype=torch.bool), first=2, last=7, most=9)
        assert found.sum(dim=1).tolist() == [5] * ROWS


@pytest.mark.parametrize(("first", "last", "most"), [(0, 1, 1), (0, 5, 5), (3, 8, 20), (0, 20, 20), (2, 9, 6)])
def test_where_some_are_equal_it_takes_the_highest_values(first, last, most):
    values, among = (2 * normal(ROWS, COLUMNS)).round(), some()
    found = placed(values, among, first=first, last=last, most=most)
    expected = naive(values, among, [first] * ROWS, [last] * ROWS, most)
    assert [values[row][found[row]].sort()[0].tolist() for row in range(ROWS)] == [
        values[row][expected[row]].sort()[0].tolist() for row in range(ROWS)
    ]
    assert max(len(each) - len(each.unique()) for each in values) > 5


def test_a_processor_finds_the_places_that_topk_finds():
    order, place = lots(seed_of(2), slice(0, ROWS), COLUMNS), torch.tensor([[0], [1], [2], [5], [1], [0], [3]])
    for first, last, most in [(0 * place, place, 9), (place, place + 4, 20), (place, 2 * place, 3)]:
        assert torch.equal(in_places(order, first, last, most), by_topk(order, first, last, most))
    torch.library.opcheck(in_places, (order, place, place + 4, 20))


def test_the_numbers_around_zero_are_in_order():
    values = torch.tensor([[0.0, -1e-45, 1e-45, -2.0, 2.0, -torch.inf, torch.inf]])
    order = [6, 4, 2, 0, 1, 3, 5]
    for place, column in enumerate(order):
        found = placed(values, torch.ones(1, 7, dtype=torch.bool), first=place, last=place + 1, most=7)
        assert found.nonzero().tolist() == [[0, column]]


def test_it_takes_no_gradient():
    values = normal(ROWS, COLUMNS).requires_grad_()
    assert not placed(values, some(), last=3, most=3).requires_grad


def test_rows_in_blocks_have_the_places_that_all_have(monkeypatch):
    values, among = normal(ROWS, COLUMNS), some()
    last = torch.tensor([4, 1, 9, 5, 20, 0, 4])[:, None]
    whole = placed(values, among, first=1, last=last, most=12), drawn(seed_of(0), among, number=last, most=12)
    monkeypatch.setattr("framework.functional.ranking.row_blocks", lambda matrix: row_blocks(matrix, 3 * COLUMNS))
    assert len(row_blocks(among, 3 * COLUMNS)) == 3
    assert torch.equal(placed(values, among, first=1, last=last, most=12), whole[0])
    assert torch.equal(drawn(seed_of(0), among, number=last, most=12), whole[1])


def test_a_drawing_takes_the_highest_lots():
    among = some()
    highest = placed(lots(seed_of(3), slice(0, ROWS), COLUMNS), among, last=4, most=4)
    assert torch.equal(drawn(seed_of(3), among, number=4, most=4), highest)


def test_a_drawing_of_each_group_is_what_each_gives_by_itself():
    among, number = some(), torch.tensor([4, 1, 0, 5, 2, 0, 4])[:, None]
    left, right = among.clone(), among.clone()
    left[:, 5:], right[:, :5] = False, False
    both, order = drawn_of_each(seed_of(3), [(left, number), (right, 3)], most=5), lots(seed_of(3), slice(0, ROWS), COLUMNS)
    assert torch.equal(both, placed(order, left, last=number, most=5) | placed(order, right, last=3, most=5))
    assert torch.equal(drawn(seed_of(3), left, number=number, most=5), both & left)
    assert (both & left).any()
    assert (both & right).any()
