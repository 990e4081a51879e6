"""JPEG headers: size and completeness, without decoding.

Source: ITU-T T.81, annex B.
"""

import re
from collections.abc import Iterator

# A marker other than a stuffed 0xFF (00) or a restart (D0..D7) ends a run of entropy-coded data.
_SCAN_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
EOI, SOS = 0xD9, 0xDA
SCAN = b"\xff\xda"
"""What a scan begins with. Picture data do not have it; a thumbnail may."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_TAIL_BYTES = 64
_ZEROS = bytes(64)


def is_jpeg(data: bytes) -> bool:
    """Whether this begins as a JPEG file does."""
    return data.startswith(b"\xff\xd8")


def segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each marker's code, what stands under it, and the scan behind it, up to the end of the image."""
    position = 2
    while (position := data.find(b"\xff", position)) != -1 and position + 1 < len(data):
        marker = data[position + 1]
        position += 1 if marker == 0xFF else 2
        if marker == 0xFF:
            continue
        start = stop = position
        if marker not in _NO_LENGTH and marker != EOI:
            start, stop = position + 2, position + int.from_bytes(data[position : position + 2], "big")
        position = max(position, stop)
        if marker == SOS:
            end = _SCAN_END.search(data, position)
            position = end.start() if end else len(data)
        yield marker, data[start:stop], data[stop:position]
        if marker == EOI:
            return


def size(data: bytes) -> tuple[int, int]:
    """Height and width that the header gives; 0 where there is none."""
    for marker, body, _ in segments(data):
        if marker in _FRAMES and len(body) >= 5:
            return int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        if marker == SOS:
            break
    return 0, 0


def has_hole(data: bytes) -> bool:
    """Whether zeros stand where picture data may be. Some encoders write so many for a plain colour."""
    first = data.find(_ZEROS)
    return first != -1 and any(marker == SOS and _ZEROS in scan for marker, _, scan in segments(data))


def has_end(data: bytes) -> bool:
    """Whether the end-of-image marker is reached; one inside a thumbnail does not count, bytes after it are fine."""
    if data[-_TAIL_BYTES:].rstrip(b"\x00\r\n").endswith(b"\xff\xd9"):
        return True
    return any(marker == EOI for marker, _, _ in segments(data))
