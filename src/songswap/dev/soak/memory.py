"""The memory of a soak's processes."""

import os
import resource
import sys
from collections.abc import Mapping

import psutil


def resident_mib(others: Mapping[str, int]) -> dict[str, int]:
    """The resident memory of this process, and of others by their process ids."""
    pids = {"soak": os.getpid(), **others}
    return {name: psutil.Process(pid).memory_info().rss >> 20 for name, pid in pids.items()}


def peak_mib(who: int) -> int:
    """The peak memory of this process, or of the largest child it has waited for."""
    peak = resource.getrusage(who).ru_maxrss
    # Bytes on macOS, KiB elsewhere.
    return peak >> 20 if sys.platform == "darwin" else peak >> 10
