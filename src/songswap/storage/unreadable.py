"""Errors of reading a zip or a file that somebody gave, in words that complete its name."""

from collections.abc import Iterator
from contextlib import contextmanager

from songswap.errors import SongSwapError


class Unreadable(Exception):
    """Says, after the name of a file, what is wrong with it."""


@contextmanager
def translate_errors(problem: str) -> Iterator[None]:
    """Raise any error as `Unreadable`: ``problem``, and the error in brackets.

    Any error: of a broken or hostile zip the library raises struct.error, IndexError, MemoryError
    and others.
    """
    try:
        yield
    except SongSwapError:
        raise  # the import was stopped
    except RuntimeError as error:
        raise Unreadable("is encrypted, or packed in a way that Spotify does not use") from error
    except Exception as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreadable(f"{problem} ({text})") from error
