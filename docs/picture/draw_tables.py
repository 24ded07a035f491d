"""Draw all tables of a newly migrated warehouse into docs/tables.svg.

    make picture

What is in the tables comes from the database's catalogue; where they stand is in places.py, which
has to give each new table its place.
"""

import tempfile
from pathlib import Path

from catalogue import read
from songswap.dev.stack.loopback import free_port
from songswap.dev.stack.postgres import Postgres
from songswap.warehouse.migrate import migrate
from svg import svg

PICTURE = Path(__file__).parents[1] / "tables.svg"
_DATABASE = "drawn"


def drawn(dsn: str) -> str:
    """The picture of a warehouse's tables.

    Raises:
        ValueError: a table or a reference has no place.
    """
    return svg(*read(dsn))


def main() -> None:
    """Bring the picture up to date, with a PostgreSQL that ends at once."""
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder), free_port())
        server.start()
        try:
            server.create_database(_DATABASE)
            migrate(server.dsn(_DATABASE))
            PICTURE.write_text(drawn(server.dsn(_DATABASE)))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
