"""Pictures and videos as files."""

from pathlib import Path

import numpy as np
from einops import repeat
from jaxtyping import UInt8

SMALLEST_SIDE = 256
"""Pixels to which small frames are enlarged: players would blur frames of 64 pixels."""


def file_name(name: str, step: int, ending: str) -> str:
    """The file of a picture or video: `eval/episode` at step 800 is `eval-episode-800.mp4`."""
    return f"{name.replace('/', '-')}-{step}.{ending}"


def write_picture(path: Path, image: UInt8[np.ndarray, "Y X 3"]) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_video(path: Path, frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> Path:
    """Write an MP4 (H.264), small frames enlarged by a whole factor."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    frames = _even(_enlarged(frames))
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=max(1, round(fps)), options={"preset": "veryfast", "crf": "20"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def _enlarged(frames: UInt8[np.ndarray, "T Y X 3"]) -> UInt8[np.ndarray, "T Y2 X2 3"]:
    factor = max(1, SMALLEST_SIDE // min(frames.shape[1:3]))
    return repeat(frames, "t y x c -> t (y a) (x b) c", a=factor, b=factor)


def _even(frames: UInt8[np.ndarray, "T Y X 3"]) -> UInt8[np.ndarray, "T Y2 X2 3"]:
    """Repeat the last row or column where a side is odd: the encoder halves the color planes."""
    return np.pad(frames, ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)), mode="edge")
