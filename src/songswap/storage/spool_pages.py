"""Read records out of a SQLite file that SQLite itself cannot read any more.

The file is taken page by page, whatever its header and its trees say: each page that holds rows of
a table names them itself (https://www.sqlite.org/fileformat2.html). Then the same is done with what
the write-ahead log has of them. Records come as they lie there, damaged, doubled or outdated: who
asks has to know a good one.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from io import SEEK_END, BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

_OTHER_PAGES = b"\x00\x02\x05\x0a"
"""How pages begin that hold no rows. Those that hold some begin with 13, or with damage."""

_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_LOG_HEADER, _FRAME_HEADER = 32, 24
_PAGE_SIZES = tuple(2**power for power in range(9, 17))
_USUAL_PAGE_SIZE = 4096

_BROKEN = (ValueError, LookupError, struct.error)


class Frame(NamedTuple):
    """A page in the log: its number, where its content begins, whether a commit ends with it."""

    page: int
    begins: int
    commits: bool


class Log(NamedTuple):
    """The write-ahead log as its file has it: of the current generation, in its order."""

    is_whole: bool
    page_size: int
    generation: bytes
    frames: list[Frame]


def read_log(path: Path) -> Log:
    """Read the headers of a log; it is whole and empty where there is none.

    It is not whole when its own header is none, although something follows: then nothing that it
    holds is seen by SQLite. Damage further behind is not looked for.
    """
    try:
        with path.open("rb") as file:
            return _read_log(file)
    except OSError:
        return Log(not path.exists(), 0, b"", [])


def _read_log(file: BinaryIO) -> Log:
    header = file.read(_LOG_HEADER)
    if not header.strip(b"\0"):
        # Nothing was ever committed: that brings the header to the disk first.
        return Log(True, 0, b"", [])
    header = header.ljust(_LOG_HEADER, b"\0")
    magic, _, size = struct.unpack_from(">3I", header)
    is_whole = magic in _LOG_MAGIC and size in _PAGE_SIZES and _is_checked(header, magic)
    size = size if size in _PAGE_SIZES else _USUAL_PAGE_SIZE
    generation = header[16:24]
    frames: list[Frame] = []
    begins = _LOG_HEADER
    while len(head := file.read(_FRAME_HEADER)) == _FRAME_HEADER:
        number, pages, salts = struct.unpack(">II8s8x", head)
        if not is_whole and not frames:
            generation = salts
        begins += _FRAME_HEADER
        if salts == generation:
            frames.append(Frame(number, begins, pages > 0))
        begins = file.seek(size, 1)
    return Log(is_whole, size, generation, frames)


def _is_checked(header: bytes, magic: int) -> bool:
    """Whether the checksum of the log's header is that of its content."""
    order = ">" if magic & 1 else "<"
    words = struct.unpack_from(f"{order}6I", header)
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) % 2**32
        second = (second + other + first) % 2**32
    return (first, second) == struct.unpack_from(">2I", header, 24)


def records(main: Path) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The records of a broken file and its log, with their rowids; of damage nothing is raised."""
    with ExitStack() as opened:

        def opening(path: Path) -> BinaryIO:
            return opened.enter_context(path.open("rb")) if path.is_file() else BytesIO()

        path = main.with_name(f"{main.name}-wal")
        log = read_log(path)
        file, behind = opening(main), opening(path)
        told = int.from_bytes(_read(file, 16, 2), "big")
        told = 65536 if told == 1 else told
        for size in {log.page_size, told, _USUAL_PAGE_SIZE}.intersection(_PAGE_SIZES):
            if log.frames and size == log.page_size:
                yield from _records(
                    file, behind, size, {one.page: one.begins for one in log.frames}
                )
            yield from _records(file, behind, size, {})


def _records(
    main: BinaryIO, behind: BinaryIO, size: int, latest: Mapping[int, int]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The records in pages of this size; ``latest`` are those that the log has, and where."""
    numbers = range(1, -(-main.seek(0, SEEK_END) // size) + 1)

    def page(number: int) -> bytes:
        if number in latest:
            return _read(behind, latest[number], size)
        return _read(main, (number - 1) * size, size) if number in numbers else b""

    for number in chain(numbers, sorted(latest.keys() - set(numbers))):
        content = page(number)
        begin = 100 if number == 1 else 0
        cells = int.from_bytes(content[begin + 3 : begin + 5], "big")
        if content[begin : begin + 1] in _OTHER_PAGES or 2 * cells > size:
            continue
        for place in range(cells):
            try:
                (at,) = struct.unpack_from(">H", content, begin + 8 + 2 * place)
                rowid, payload = _cell(content, at, size, page)
                yield rowid, _record(payload)
            except _BROKEN:
                continue


def _read(file: BinaryIO, begins: int, length: int) -> bytes:
    file.seek(begins)
    return file.read(length)


def _cell(content: bytes, at: int, size: int, page: Callable[[int], bytes]) -> tuple[int, bytes]:
    """The rowid and the content of a cell, with what lies in pages that it overflows to."""
    length, at = _varint(content, at)
    rowid, at = _varint(content, at)
    most = size - 35
    local = length
    if length > most:
        least = (size - 12) * 32 // 255 - 23
        local = least + (length - least) % (size - 4)
        local = local if local <= most else least
    parts = [content[at : at + local]]
    left, seen = length - local, set[int]()
    (following,) = struct.unpack_from(">I", content, at + local) if left else (0,)
    while left > 0:
        if following in seen or not following:
            raise ValueError("the chain of pages ends too early")
        seen.add(following)
        more = page(following)
        (following,) = struct.unpack_from(">I", more)
        parts.append(more[4 : 4 + left])
        left -= size - 4
    payload = b"".join(parts)
    if len(payload) != length:
        raise ValueError("the page is cut")
    return rowid - 2**64 if rowid >= 2**63 else rowid, payload


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 1-9 bytes, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> tuple[Any, ...]:
    """The values of a record; text that is none has U+FFFD in it."""
    ends, at = _varint(payload, 0)
    values: list[Any] = []
    begins = ends
    while at < ends:
        kind, at = _varint(payload, at)
        length = _INTEGERS.get(kind, 8 if kind == 7 else max(0, (kind - 12) // 2))
        content = payload[begins : begins + length]
        if len(content) != length:
            raise ValueError("the record is cut")
        begins += length
        values.append(_value(kind, content))
    return tuple(values)


def _value(kind: int, content: bytes) -> Any:
    if kind in _INTEGERS:
        return int.from_bytes(content, "big", signed=True)
    if kind >= 12:
        return content.decode(errors="replace") if kind % 2 else content
    if kind == 7:
        return struct.unpack(">d", content)[0]
    return {0: None, 8: 0, 9: 1}[kind]
