"""Files that are written completely or not at all."""

import errno
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def save(file: Path, contents: object) -> None:
    """Write tensors and plain values, for `load`."""
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    write(file, buffer.getbuffer())


def load(file: Path) -> Any:
    """Read a file of `save` onto the CPU, without running code in it."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for a damaged file
        raise UserError(f"{file} is missing or damaged; go back to an earlier checkpoint.") from error


def plain(value: Any, where: str) -> Any:
    """A copy on the CPU, in types that load without running code."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise TypeError(f"{where} is a {type(value).__name__}, which a checkpoint cannot hold")


def write(file: Path, data: bytes | memoryview) -> None:
    """Write under a temporary name and rename, so that a kill or a full disk leaves the earlier file intact."""
    temporary = file.with_name(f".{file.name}.writing")
    try:
        with writing(file.parent, size=len(data)):
            temporary.write_bytes(data)
            temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def writing(folder: Path, *, size: int) -> Iterator[None]:
    """Raise a `UserError` for an operating system error while `size` bytes are written into a folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise UserError(f"Cannot write in {folder}: {error.strerror}; give a folder that can be written.") from error
        raise UserError(
            f"The disk that holds {folder} is full ({error.strerror}): {size / 1e6:.1f} MB are needed and "
            f"{_free(folder) / 1e6:.1f} MB are free; free some space and resume, earlier files are intact."
        ) from error


def flush(*paths: Path) -> None:
    """Wait until files and folders are on the disk."""
    for path in paths:
        with writing(path.parent, size=0):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _free(folder: Path) -> int:
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(nearest).free
