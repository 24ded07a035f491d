"""The page's modules, stylesheet and icons, from the package."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import Response

from songswap.orchestration.web.assets import FOLDER, TYPES, VERSION

router = APIRouter()

_FOR_EVER = "public, max-age=31536000, immutable"


@router.get("/static/{version}/{name}")
def read(version: str, name: Annotated[str, Path(pattern=r"^[a-z]+\.[a-z]+$")]) -> Response:
    """Return a file.

    During an upgrade another api-server may have named a version: that is served as it is here,
    and not kept.
    """
    path = FOLDER / name
    if path.suffix not in TYPES or not path.is_file():
        raise HTTPException(404, "The page has no such file.")
    return Response(
        path.read_bytes(),
        media_type=TYPES[path.suffix],
        headers={"Cache-Control": _FOR_EVER if version == VERSION else "no-store"},
    )
