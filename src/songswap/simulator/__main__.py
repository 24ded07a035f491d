"""`python -m songswap.simulator`: the simulator alone."""

from __future__ import annotations

import typer

from songswap.simulator.command import simulator

if __name__ == "__main__":
    typer.run(simulator)
