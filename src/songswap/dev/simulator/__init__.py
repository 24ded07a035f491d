"""A Spotify over real HTTP that remembers every play it could have told.

    python -m songswap.dev.simulator --users 25 --seed 1

A program of its own: nothing here imports the pipeline, so that the two cannot share a mistake.
Everything it says is a pure function of the seed and of its clock, except the nonces in tokens.
"""
