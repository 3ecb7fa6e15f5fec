"""Pictures and videos as files."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from einops import repeat
from jaxtyping import UInt8

SMALLEST_SIDE: Final = 256
"""Pixels to which small frames are enlarged: players would blur frames of 64 pixels."""


def file_name(name: str, step: int, ending: str) -> str:
    """The file of a picture or video: `eval/episode` at step 800 is `eval-episode-800.mp4`."""
    return f"{name.replace('/', '-')}-{step}.{ending}"


def write_picture(path: Path, image: UInt8[np.ndarray, "Y X 3"]) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_video(path: Path, mp4: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mp4)
    return path


def encode_video(frames: UInt8[np.ndarray, "T Y X 3"], fps: float) -> bytes:
    """An MP4 (H.264), small frames enlarged by a whole factor."""
    import av

    factor = max(1, SMALLEST_SIDE // min(frames.shape[1:3]))
    frames = repeat(frames, "t y x c -> t (y a) (x b) c", a=factor, b=factor)
    height, width = frames.shape[1:3]
    # The encoder halves the color planes: the last row or column of an odd side is repeated.
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=max(1, round(fps)), options={"preset": "veryfast", "crf": "20"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
