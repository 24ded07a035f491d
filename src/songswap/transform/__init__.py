"""Answers of the Spotify Web API → rows of the platform's tables. Pure: no clock, no I/O.

    answer (bytes) ──▶ responses.py: typed shapes, ──▶ history.py   ──▶ rows
                       mended where broken             metadata.py

The rule of the whole package: the smallest broken thing is all that is lost, and it is recorded.
"""
