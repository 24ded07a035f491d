"""How much is measured: the full size, or one so tiny that it only shows that a part runs."""

import os

TINY = "SONGSWAP_BENCH_TINY"
"""In the environment, so that the processes of a part know it too."""


def size(full: int, tiny: int) -> int:
    """One of the two."""
    return tiny if os.environ.get(TINY) else full
