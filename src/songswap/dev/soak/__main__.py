"""`python -m songswap.dev.soak`."""

import typer

from songswap.dev.soak.command import soak

if __name__ == "__main__":
    typer.run(soak)
