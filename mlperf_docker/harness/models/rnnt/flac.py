"""Length of a FLAC stream: from its header, or its last frame if the header does not tell.

What encodes to a pipe cannot go back to write the number of samples, and leaves 0, "unknown". Each frame says at which
sample it begins, so the last one tells the length without decoding the others. Source: RFC 9639, sections 8.2 and 9.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"fLaC"
_STREAM_INFO = 8
"""Where the fields of the first block begin."""
_TOTAL, _DIGEST, _END = 21, 26, 42
_TOTAL_MASK = 2**36 - 1
_LONGEST_HEADER = 16
LARGEST_FRAME = 1 << 18
"""Bytes: 65,535 samples of one channel, as they are."""
_CANDIDATES = 8
"""Frames whose checksum is computed; a byte of it takes a microsecond."""
_DECIMATED = {code: 576 << code - 2 for code in range(2, 6)} | {code: 256 << code - 8 for code in range(8, 16)}
_BLOCK_SIZES = {1: 192, **_DECIMATED}
_BYTES_OF_SIZE = {6: 1, 7: 2}
_BYTES_OF_RATE = {12: 1, 13: 2, 14: 2}


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """Header of a FLAC stream."""

    told: int
    """Number of samples; 0 if unknown."""
    block: int
    """Samples of a frame."""
    md5: bytes | None
    """Checksum of the sound; None if unknown."""


def header(data: bytes) -> FlacHeader | None:
    """The header of a FLAC stream, or None if *data* is none."""
    if not data.startswith(MAGIC) or len(data) < _END or data[4] & 0x7F:
        return None
    told = int.from_bytes(data[_TOTAL : _TOTAL + 5], "big") & _TOTAL_MASK
    md5 = data[_DIGEST:_END]
    return FlacHeader(told, int.from_bytes(data[_STREAM_INFO : _STREAM_INFO + 2], "big"), md5 if any(md5) else None)


def telling(data: bytes, samples: int) -> bytes:
    """The same stream with *samples* in its header."""
    first = data[_TOTAL] & 0xF0 | samples >> 32
    return data[:_TOTAL] + bytes([first]) + (samples & 0xFFFFFFFF).to_bytes(4, "big") + data[_TOTAL + 5 :]


def ending(data: bytes, about: FlacHeader) -> int | None:
    """Samples up to the end of the stream's last frame, or None where that is damaged or cut off."""
    for computed, (position, end) in enumerate(_frames_from_the_end(data, about.block)):
        # A frame that ends where the header says is the last one; of others all bytes must be there.
        if end == about.told:
            return end
        if computed < _CANDIDATES and _crc16(data[position:]) == 0:
            return end
    return None


def _frames_from_the_end(data: bytes, block: int) -> Iterator[tuple[int, int]]:
    """Position of each frame, the last one first, and the sample after it."""
    position = len(data)
    while (position := data.rfind(b"\xff", 0, position)) >= _END:
        frame = data[position : position + _LONGEST_HEADER]
        if len(frame) > 5 and frame[1] in (0xF8, 0xF9):
            end = _end_of(frame, block)
            if end is not None:
                yield position, end


def _end_of(frame: bytes, block: int) -> int | None:
    """The sample after the frame whose first bytes these are, or None if they are no frame's."""
    number, at = _coded_number(frame)
    size_code, rate_code = frame[2] >> 4, frame[2] & 15
    size_bytes, rate_bytes = _BYTES_OF_SIZE.get(size_code, 0), _BYTES_OF_RATE.get(rate_code, 0)
    check = at + size_bytes + rate_bytes
    if number is None or check >= len(frame) or frame[3] & 1 or _crc8(frame[: check + 1]):
        return None
    size = int.from_bytes(frame[at : at + size_bytes], "big") + 1 if size_bytes else _BLOCK_SIZES.get(size_code)
    if size is None:
        return None
    return (number if frame[1] & 1 else number * block) + size


def _coded_number(frame: bytes) -> tuple[int | None, int]:
    """The number of the frame or of its first sample, coded like a character of UTF-8, and where it ends."""
    first = frame[4]
    more = 0 if first < 0x80 else 7 - (first ^ 0xFF).bit_length()
    tail = frame[5 : 5 + more]
    if first in range(0x80, 0xC0) or more > 6 or len(tail) < more or any(byte >> 6 != 2 for byte in tail):
        return None, 5
    number = first if not more else first & (1 << 6 - more) - 1
    for byte in tail:
        number = number << 6 | byte & 0x3F
    return number, 5 + more


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    top, value = 1 << bits - 1, 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value & top else 0)
        value &= (1 << bits) - 1
    return value


def _crc8(data: bytes) -> int:
    return _crc(data, 8, 0x07)


def _crc16(data: bytes) -> int:
    return _crc(data, 16, 0x8005)
