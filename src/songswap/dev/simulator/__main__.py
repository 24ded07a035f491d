"""Run the simulator: `python -m songswap.dev.simulator`."""

from __future__ import annotations

import typer

from songswap.dev.simulator.command import simulator

if __name__ == "__main__":
    typer.run(simulator)
