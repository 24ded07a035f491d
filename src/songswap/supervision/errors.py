"""Errors of the embedded stack.

StackError               a part did not start, or died: exit code 1
└── StartRefused         nothing was started: a port, the disk, the state folder or a setting
                         is not as needed: exit code 2
"""

from songswap.errors import SongSwapError


class StackError(SongSwapError):
    """A part of the embedded stack failed."""

    exit_code = 1


class StartRefused(StackError):
    """Nothing was started; the user has to change something first."""

    exit_code = 2
