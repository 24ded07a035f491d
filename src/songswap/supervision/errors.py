"""What can go wrong with the embedded stack.

StackError               a part did not start, or died: exit code 1
└── StartRefused         nothing was started: a port, the disk, the state folder or a setting
                         is not as needed: exit code 2
"""

from songswap.errors import SongSwapError


class StackError(SongSwapError):
    """A part of the embedded stack did not do what it has to."""

    exit_code = 1


class StartRefused(StackError):
    """Nothing was started, because something of the user's has to change first."""

    exit_code = 2
