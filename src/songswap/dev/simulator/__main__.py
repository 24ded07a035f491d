"""`python -m songswap.dev.simulator`: the simulator alone."""

from __future__ import annotations

import typer

from songswap.dev.simulator.command import simulator

if __name__ == "__main__":
    typer.run(simulator)
