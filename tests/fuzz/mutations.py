"""Ways in which a file goes wrong, drawn at random: as bytes, as text, as JSON, inside its compression, as a place."""

import gzip
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01")
WORDS = (
    *("", "0", "-1", "1e400", "nan", "NaN", "-Infinity", "null", "true", "9" * 5000, "0x10", "1_000", "½", "٣"),
    *("\x00", "\ufeff", "\r", "\u2028", "\x1b[2J", "../../etc/passwd", "/dev/zero", "a" * 5000, "-", "\t\t", "a b c d"),
)
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, -0.0, "", "x", [], {}, [[]]),
    *(
        float("nan"),
        float("inf"),
        "\ud800",
        "\x00",
        "\x1b]0;t\x07",
        "a" * 5000,
        "../x",
        "/dev/zero",
        [None] * 3,
        {"": 0},
    ),
)

Edit = Callable[[Random, bytes], bytes]


def flipped(rng: Random, data: bytes) -> bytes:
    """A few bytes with one bit changed, or all."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        changed[rng.randrange(len(data))] ^= rng.choice((1, 2, 4, 16, 64, 128, 255))
    return bytes(changed)


def header(rng: Random, data: bytes) -> bytes:
    """A field of the beginning, or of the end, set to an extreme."""
    width, reach = rng.choice((1, 2, 4, 8)), min(len(data), rng.choice((16, 64, 400)))
    at = rng.randrange(reach)
    at = at if rng.random() < 0.8 else len(data) - reach + at
    field = rng.choice(EXTREMES) * width
    if rng.random() < 0.3:
        field = field[:-1] + rng.choice(EXTREMES)
    return (data[:at] + field + data[at + width :])[: max(len(data), 1)]


def zeroed(rng: Random, data: bytes) -> bytes:
    """A stretch of zeros."""
    start, stop = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + bytes(stop - start) + data[stop:]


def cut(rng: Random, data: bytes) -> bytes:
    """The end is missing, or the beginning."""
    at = rng.choice((0, 1, len(data) - 1, rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:at] if rng.random() < 0.8 else data[at:]


def doubled(rng: Random, data: bytes) -> bytes:
    """All of it twice, or a stretch."""
    start, stop = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data + data if rng.random() < 0.5 else data[:stop] + data[start:]


def noise(rng: Random, data: bytes) -> bytes:
    """Nothing of it."""
    return rng.randbytes(min(len(data), 5000))


BYTES: tuple[Edit, ...] = (flipped, flipped, header, header, zeroed, cut, doubled, noise)
DAMAGE: tuple[Edit, ...] = (flipped, zeroed, cut)
"""What checksums must notice."""


def words(rng: Random, data: bytes) -> bytes:
    """A word of a text replaced, removed or repeated; or a line."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(rng.randrange(len(lines)), lines[at])
    else:
        parts = lines[at].split(b" ")
        parts[rng.randrange(len(parts))] = rng.choice(WORDS).encode("utf-8", "surrogatepass")
        lines[at] = b" ".join(parts)
    return b"\n".join(lines)


def json_value(rng: Random, data: bytes) -> bytes:
    """A value of a JSON document replaced, removed, repeated, or buried."""
    document = json.loads(data)
    holder, key = _place(rng, document)
    if holder is None or rng.random() < 0.05:
        return json.dumps(rng.choice(VALUES)).encode()
    kind = rng.random()
    if kind < 0.15:
        del holder[key]
    elif kind < 0.25 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif kind < 0.35 and isinstance(holder, dict):
        holder[rng.choice(("", "x", "\x00", "id", str(key) * 2))] = holder.pop(key)
    elif kind < 0.4:
        return json.dumps(document).encode().replace(b"null", b"[" * 100_000, 1) + b"[" * 100_000
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(document).encode()


def _place(rng: Random, document: Any) -> tuple[Any, Any]:
    """A container inside the document and one of its keys; nearer to the top more often than not."""
    holder, key = None, None
    while isinstance(document, dict | list) and document:
        holder, key = (
            document,
            rng.choice(list(document)) if isinstance(document, dict) else rng.randrange(len(document)),
        )
        document = holder[key]
        if rng.random() < 0.25:
            break
    return holder, key


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict | list)
    except ValueError:
        return False


def of_text(rng: Random, data: bytes) -> bytes:
    """An edit that suits a text."""
    if _is_json(data) and rng.random() < 0.7:
        return json_value(rng, data)
    return words(rng, data) if rng.random() < 0.6 else rng.choice(BYTES)(rng, data)


def of_gzip(rng: Random, data: bytes) -> bytes:
    """An edit of what is compressed, or of the compression."""
    if rng.random() < 0.4:
        return rng.choice(BYTES)(rng, data)
    return gzip.compress(rng.choice(BYTES)(rng, gzip.decompress(data)), 1)


def of_zip(rng: Random, data: bytes) -> bytes:
    """An edit of a member, of its name, or of the archive."""
    if rng.random() < 0.4:
        return rng.choice(BYTES)(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    name, content = members[at]
    kind = rng.random()
    if kind < 0.1:
        del members[at]
    elif kind < 0.2:
        members[at] = (rng.choice((f"{name}x", f"../{name}", "data.pkl", "x/code/a.py", "saved_model.pb")), content)
    elif content:
        members[at] = (name, rng.choice(BYTES)(rng, content))
    return _zipped(members)


def _zipped(members: Sequence[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            archive.writestr(info, content)
    return stream.getvalue()


def of_safetensors(rng: Random, data: bytes) -> bytes:
    """An edit of the header, with its length put right; or of anything."""
    if rng.random() < 0.4:
        return rng.choice(BYTES)(rng, data)
    size = int.from_bytes(data[:8], "little")
    changed = of_text(rng, data[8 : 8 + size])
    return len(changed).to_bytes(8, "little") + changed + data[8 + size :]


SUITED: dict[str, Edit] = {
    **dict.fromkeys((".json", ".txt", ".yaml"), of_text),
    ".gz": of_gzip,
    **dict.fromkeys((".pth", ".pt", ".ptc", ".zip"), of_zip),
    ".safetensors": of_safetensors,
}


def removed(path: Path) -> None:
    """No file."""
    path.unlink()


def empty(path: Path) -> None:
    """A file without bytes."""
    path.write_bytes(b"")


def pipe(path: Path) -> None:
    """A pipe that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    """A folder."""
    path.unlink()
    path.mkdir()


def endless(path: Path) -> None:
    """A link to a device that has no end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    """A link to nothing."""
    path.unlink()
    path.symlink_to("nowhere")


def circle(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path.name)


PLACES: tuple[Callable[[Path], None], ...] = (removed, empty, pipe, folder, endless, dangling, circle)


def mutate(rng: Random, path: Path, *, places: bool = True) -> str:
    """Change *path* somehow; say how."""
    if places and rng.random() < 0.15:
        put = rng.choice(PLACES)
        put(path)
        return f"{put.__name__} {path.name}"
    edit = SUITED.get(path.suffix, rng.choice(BYTES))
    return apply(edit, rng, path)


def damage(rng: Random, path: Path) -> str:
    """Damage the bytes of *path* as they are, so that its own checksums, where it has them, do not fit any more."""
    return apply(rng.choice(DAMAGE), rng, path)


def apply(edit: Edit, rng: Random, path: Path) -> str:
    """Change the bytes of *path*; say how."""
    data = path.read_bytes()
    path.write_bytes(edit(rng, data) if data else b"x")
    return f"{edit.__name__} {path.name}"


def copied(source: Path, target: Path) -> None:
    """A copy of a folder, in place of what is there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
