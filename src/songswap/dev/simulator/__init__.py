"""A simulated Spotify over real HTTP, with a ledger of every play that its API could return.

    python -m songswap.dev.simulator --users 25 --seed 1

Nothing here imports the pipeline, so the two cannot share a mistake. All output follows from the
seed and the clock, except the nonces in tokens.
"""
