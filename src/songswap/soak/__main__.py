"""`python -m songswap.soak`."""

import typer

from songswap.soak.command import soak

if __name__ == "__main__":
    typer.run(soak)
