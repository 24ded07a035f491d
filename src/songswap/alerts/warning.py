"""What engineers are told of a run that went well, because no next run can mend it."""

import re
from collections.abc import Iterator, Mapping

_ENDING = re.compile(r"expiring_in_(?P<days>\d+)_days")


def warnings(counts: Mapping[str, int]) -> list[str]:
    """Sentences about a run's counts; none for most runs.

    Args:
        counts: as `songswap.ingest.summarise` gives them.
    """
    return list(_warnings(counts))


def _warnings(counts: Mapping[str, int]) -> Iterator[str]:
    gaps = counts.get("gaps", 0)
    if gaps:
        yield (
            f"{gaps:,} users had played more than Spotify remembers since they were last asked for:"
            " plays of theirs may be missing. songswap.gaps says whose, and between when and when."
        )
    for name, users in counts.items():
        ending = _ENDING.fullmatch(name)
        if ending and users:
            days = int(ending["days"])
            yield (
                f"The grants of {users:,} users end within {days} {'day' if days == 1 else 'days'}:"
                " they have to authorize again before, or nobody can ask for their plays."
                " `songswap grants` lists them."
            )
