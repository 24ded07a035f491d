"""What people read of the counts of a run."""

from songswap.pipelines import run_counts


def test_people_read_no_durations() -> None:
    """JSON has them; of a run's table they would be a good part."""
    counts = {"plays": 5, "seconds": 6, **dict.fromkeys(run_counts.DURATIONS, 7)}
    assert run_counts.in_short(counts) == {"plays": 5, "seconds": 6}
    assert run_counts.as_json(counts).items() >= counts.items()
