"""Lines that are told apart."""

from itertools import pairwise

from framework.visualization.style import line_style


def test_no_two_of_many_methods_share_both_color_and_marker() -> None:
    styles = [line_style(index) for index in range(56)]
    assert len({(style["color"], style["marker"]) for style in styles}) == 56
    assert all(one["linestyle"] != other["linestyle"] for one, other in pairwise(styles))
