"""Small folders in ImageNet's layout, made on the spot."""

import random
from pathlib import Path

from PIL import Image


def lay_out_noise(folder: Path, *, count: int, side: int = 300) -> Path:
    """Write *count* JPEGs of coarse noise and their val_map.txt; return *folder*."""
    folder.mkdir(parents=True)
    source = random.Random(count)  # noqa: S311  # pictures, not secrets
    lines = []
    for index in range(count):
        name = f"ILSVRC2012_val_{index + 1:08d}.JPEG"
        coarse = Image.frombytes("RGB", (16, 16), source.randbytes(16 * 16 * 3))
        coarse.resize((side, side - index % 7)).save(folder / name, quality=90)
        lines.append(f"{name} {source.randrange(1000)}\n")
    (folder / "val_map.txt").write_text("".join(lines))
    return folder
