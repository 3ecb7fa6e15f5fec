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
    """An MP4 (H.264), small frames enlarged by a whole factor, one at a time: all of them would take a hundred times their memory."""
    import av

    factor = max(1, SMALLEST_SIDE // min(frames.shape[1:3]))
    height, width = factor * frames.shape[1], factor * frames.shape[2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    file = io.BytesIO()
    with av.open(file, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=max(1, round(fps)), options={"preset": "veryfast", "crf": "20"})
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            enlarged = repeat(frame, "y x c -> (y a) (x b) c", a=factor, b=factor)
            # The encoder halves the color planes: the last row or column of an odd side is repeated.
            even = np.pad(enlarged, odd, mode="edge") if height % 2 or width % 2 else enlarged
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()
