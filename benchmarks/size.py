"""How much is measured: the full size, or a tiny one that only shows that a part runs."""

import os

TINY = "SONGSWAP_BENCH_TINY"
"""In the environment, so that a part's processes know it too."""


def size(full: int, tiny: int) -> int:
    """Return one of the two."""
    return tiny if os.environ.get(TINY) else full
