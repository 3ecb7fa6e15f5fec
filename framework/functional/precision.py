"""Full precision inside a region of lower precision."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switch autocast off. The `meta` device, on which shapes alone are computed, has no autocast."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
