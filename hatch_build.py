"""Puts into a wheel what pyproject.toml names beside the package."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FilesOfTheProject(BuildHookInterface[Any]):
    """Hatchling's own `force-include` would copy them for an editable install too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files; one that is missing stops the build and is named.

        An editable install has them in its clone, and an image, whose build sees no DAG files, gets
        them by itself.
        """
        root = Path(self.root)
        if version == "editable" or not (root / "dags").exists():
            return
        for name in self.config["files"]:
            build_data["force_include"][str(root / name)] = f"songswap/files/{name}"
