"""Read records out of a SQLite file that SQLite itself cannot read any more.

The file is read page by page, whatever its header and its trees say: each page that holds rows of a
table lists them itself (https://www.sqlite.org/fileformat2.html). Pages in the write-ahead log are
read first. Records may be damaged, repeated or outdated: the caller checks them.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from io import SEEK_END, BytesIO, FileIO
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

_OTHER_PAGES = b"\x00\x02\x05\x0a"
"""The first bytes of pages without rows. A page with rows begins with 13, or with damage."""

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
    """The write-ahead log: its frames of the current generation, in their order."""

    is_whole: bool
    page_size: int
    generation: bytes
    frames: list[Frame]


def read_log(path: Path) -> Log:
    """Read the headers of a log; it is whole and empty where there is none.

    It is not whole when its own header is damaged: then SQLite reads none of it. Damage further
    behind is not looked for.
    """
    try:
        # Without a buffer, which would read all the pages between the headers.
        with path.open("rb", buffering=0) as file:
            return _read_log(file)
    except OSError:
        return Log(not path.exists(), 0, b"", [])


def _read_log(file: BinaryIO | FileIO) -> Log:
    header = file.read(_LOG_HEADER)
    if not header.strip(b"\0"):
        # Nothing was ever committed: the first commit writes the header.
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
    """Return whether the checksum of the log's header is right."""
    order = ">" if magic & 1 else "<"
    words = struct.unpack_from(f"{order}6I", header)
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) % 2**32
        second = (second + odd + first) % 2**32
    return (first, second) == struct.unpack_from(">2I", header, 24)


def records(main: Path) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the records of a broken file and its log, with their rowids; damage raises nothing."""
    with ExitStack() as opened:

        def open_or_empty(path: Path) -> BinaryIO:
            return opened.enter_context(path.open("rb")) if path.is_file() else BytesIO()

        path = main.with_name(f"{main.name}-wal")
        log = read_log(path)
        file, behind = open_or_empty(main), open_or_empty(path)
        page_size = int.from_bytes(_read(file, 16, 2), "big")
        page_size = 65536 if page_size == 1 else page_size
        for size in {log.page_size, page_size, _USUAL_PAGE_SIZE}.intersection(_PAGE_SIZES):
            if log.frames and size == log.page_size:
                latest = {frame.page: frame.begins for frame in log.frames}
                yield from _records(file, behind, size, latest)
            yield from _records(file, behind, size, {})


def _records(
    main: BinaryIO, behind: BinaryIO, size: int, latest: Mapping[int, int]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the records in pages of this size; ``latest`` has the pages in the log, and where."""
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
    """Return the rowid and the content of a cell, with its overflow pages."""
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
    """Return a number of 1-9 bytes, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _record(payload: bytes) -> tuple[Any, ...]:
    """Return the values of a record; damaged text has U+FFFD in it."""
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
