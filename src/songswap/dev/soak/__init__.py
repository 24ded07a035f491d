"""The soak: days of many listeners in minutes, under a storm of faults, and a verdict.

    storm (drawn from the seed) ──▶ hour by hour: faults, outages, kills ──▶ the hourly load
                                      the simulator's ledger ◀── play by play ──▶ "History"

Time is simulated; PostgreSQL, S3, HTTP, the disk and the processes are real.
"""
