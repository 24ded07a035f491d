"""Turn responses of the Spotify Web API into rows of the platform's tables. Pure: no clock, no I/O.

    response (bytes) ──▶ responses.py: typed shapes,    ──▶ recent_plays.py ──▶ rows
                         broken values taken out            metadata.py

The rule of the package: only the smallest broken part is lost, and it is recorded.
"""
