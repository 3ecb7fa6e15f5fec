"""Images of any number of channels as colors."""

import numpy as np
import pytest
import torch

from framework.visualization import figures
from framework.visualization.figures import enlarged, to_rgb


@pytest.mark.parametrize(
    ("channels", "shown", "sentence"),
    [
        (1, [0, 0, 0], None),
        (2, [0, 0, 0], "2 channels, pictures and videos show the first, as gray"),
        (3, [0, 1, 2], None),
        (4, [0, 1, 2], "4 channels, pictures and videos show the first three"),
        (5, [0, 1, 2], "5 channels, pictures and videos show the first three"),
        (12, [9, 10, 11], None),
    ],
)
def test_one_channel_is_gray_of_stacked_frames_the_last_is_shown_and_of_other_numbers_the_first_with_a_sentence(
    channels: int, shown: list[int], sentence: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    figures._warn_of_channels.cache_clear()
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, channels), np.uint8)
    np.testing.assert_array_equal(to_rgb(images), images[..., shown])
    assert torch.equal(to_rgb(torch.from_numpy(images)), torch.from_numpy(images[..., shown]))
    np.testing.assert_array_equal(enlarged(images, 12), images[..., shown].repeat(2, axis=1).repeat(2, axis=2))
    messages = [record.message for record in caplog.records]
    assert len(messages) == (0 if sentence is None else 1)
    assert sentence is None or sentence in messages[0]
