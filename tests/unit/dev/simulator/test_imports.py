"""The simulator is independent of the pipeline."""

import ast
from pathlib import Path

import songswap.dev.simulator


def test_simulator_imports_nothing_of_the_pipeline() -> None:
    """No file of the simulator imports songswap outside songswap.dev.simulator."""
    foreign = []
    for file in Path(songswap.dev.simulator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file.name} imports relatively"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            foreign += [
                (file.name, name)
                for name in names
                if name.startswith("songswap") and not name.startswith("songswap.dev.simulator")
            ]
    assert foreign == []
