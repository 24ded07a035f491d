"""One hourly load that ends where it is told to: ``crash.py NOW [DEED WHEN MODULE:FUNCTION NTH]``.

The function is wrapped from outside, where its caller finds it. WHEN (before or after) its NTH call
the DEED is done: ``kill``, which is SIGKILL; ``freeze``, which is SIGSTOP; or ``fill``: from then
on the disk takes no more. The settings are those of the environment, and NOW is what the pipeline
takes for the time.
"""

import asyncio
import functools
import itertools
import os
import resource
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from typing import Any

from songswap import settings
from songswap.errors import SongSwapError
from songswap.pipelines import hourly_load


def kill() -> None:
    """End this process as the machine's loss of power would."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stand still until SIGCONT, as in a swapping or suspended machine."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fill() -> None:
    """Let no file of this process grow any more, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


DEEDS = {"kill": kill, "freeze": freeze, "fill": fill}


def wrap(target: str, when: str, nth: int, deed: Callable[[], None]) -> None:
    """Have ``deed`` done around the nth call of ``module:function`` or ``module:Class.method``."""
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, import_module(module))
    function = getattr(owner, name)
    calls = itertools.count(1)

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        mine = next(calls) == nth
        if mine and when == "before":
            deed()
        result = function(*arguments, **named)
        if mine and when == "after":
            deed()
        return result

    @functools.wraps(function)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        mine = next(calls) == nth
        if mine and when == "before":
            deed()
        result = await function(*arguments, **named)
        if mine and when == "after":
            deed()
        return result

    setattr(owner, name, awaited if asyncio.iscoroutinefunction(function) else called)


def main(now: str, deed: str = "", when: str = "", target: str = "", nth: str = "1") -> None:
    """See the module."""
    if deed:
        wrap(target, when, int(nth), DEEDS[deed])
    moment = datetime.fromisoformat(now)
    read = settings.from_environment(os.environ)
    try:
        hourly_load.load_once(read, f"run of {os.getpid()}", lambda *_: None, lambda: moment)
    except SongSwapError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
