"""Find where the platform's tables differ from what the pipeline needs, and say what to do."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg

from songswap.errors import PlatformUnfit
from songswap.warehouse import schema
from songswap.warehouse.contract import TABLES, Kind, Table
from songswap.warehouse.schema import quoted
from songswap.warehouse.sql import statements

_SQL = statements("contract.sql")

_MOST = 3
"""How many deviations a refused load names."""

_fit: WeakKeyDictionary[psycopg.Connection[Any], set[str]] = WeakKeyDictionary()
"""The tables into which a session can load."""

_NOT_A_TABLE = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


class Shape(NamedTuple):
    """A table as the server's catalogue has it, see the statement ``shapes``.

    ``hides_rows``: row level security applies to this session's role; ``fills``: a trigger runs
    before the INSERT of each row.
    """

    name: str
    relkind: str
    owner: str
    hides_rows: bool
    forced: bool
    fills: bool
    columns: Mapping[str, Mapping[str, Any]]
    unique: list[Mapping[str, Any]]
    references: list[Mapping[str, Any]]


class Deviation(NamedTuple):
    """What is wrong, how to fix it, and whether it stops loads."""

    problem: str
    remedy: str
    is_fatal: bool

    @property
    def sentence(self) -> str:
        """The problem and its fix, for an operator."""
        return f"{self.problem}: {self.remedy}."


def find(connection: psycopg.Connection[Any], tables: Collection[str] = TABLES) -> list[Deviation]:
    """Return the deviations of these tables; missing tables are ignored."""
    name = schema.of(connection)
    params = {"schema": name, "tables": list(tables)}
    shapes = [Shape(*row) for row in connection.execute(_SQL["shapes"], params)]
    shapes.sort(key=lambda shape: list(TABLES).index(shape.name))
    role = connection.info.user
    found = [deviation for shape in shapes for deviation in of_table(shape, name, role)]
    found += [
        _hidden(f"{quoted(where)}.{quoted(table)}", owner, forced, role)
        for where, table, owner, forced in connection.execute(_SQL["hiding"])
    ]
    referred = [other for (other,) in connection.execute(_SQL["referred"])]
    return [*of_references(name, referred, role), *found]


def require_fit(connection: psycopg.Connection[Any], tables: Collection[str] = TABLES) -> None:
    """Raise where a load into these tables would fail, or be wrong.

    A session reads the tables' shapes once: they take longer than the load of a few users.

    Raises:
        PlatformUnfit: says what is wrong with which table, and what to do.
    """
    fit = _fit.setdefault(connection, set())
    if fit.issuperset(tables):
        return
    fatal = [deviation for deviation in find(connection, tables) if deviation.is_fatal]
    if fatal:
        more = f" And {len(fatal) - _MOST} more." if len(fatal) > _MOST else ""
        raise PlatformUnfit(
            "The platform's tables in the warehouse are not as loads need them, and nothing was"
            f" loaded. {' '.join(deviation.sentence for deviation in fatal[:_MOST])}{more}"
            " Have the tables' owner do it; 'songswap check postgres' lists all."
        )
    fit.update(tables)


def of_references(name: str, referred: Iterable[str], role: str) -> Iterator[Deviation]:
    """Yield the deviation that the pipeline's tables have foreign keys to another schema."""
    for other in referred:
        if other != name:
            yield Deviation(
                f"the tables in schema {quoted(name)} are used, and the pipeline's own refer to"
                f" those in {quoted(other)}",
                f"to stay with the latter, ALTER ROLE {quoted(role)} SET search_path ="
                f" {quoted(other)}; to move, bring their rows over and let the foreign keys of"
                f" schema songswap refer to {quoted(name)}",
                True,
            )


def of_table(shape: Shape, schema_name: str, role: str) -> Iterator[Deviation]:
    """Yield the deviations of a table."""
    table, name = TABLES[shape.name], f"{quoted(schema_name)}.{quoted(shape.name)}"
    if shape.relkind in _NOT_A_TABLE:
        yield Deviation(
            f"{name} is {_NOT_A_TABLE[shape.relkind]}, whose rows have no key",
            "put a table in its place, with the rows of the contract",
            True,
        )
        return
    if shape.hides_rows:
        yield _hidden(name, shape.owner, shape.forced, role)
    for column, kind in table.columns.items():
        needed = column in table.loaded
        yield from _of_column(name, column, kind, shape.columns.get(column), needed)
    for column, found in shape.columns.items():
        if column not in table.columns:
            yield from _of_addition(shape, table, name, column, found)
    for key in (table.key, *table.keys):
        yield from _of_key(shape, name, key, key == table.key)
    for column, parent in table.parents.items():
        yield from _of_parent(shape, name, column, f"{quoted(schema_name)}.{quoted(parent)}")


def _hidden(name: str, owner: str, forced: bool, role: str) -> Deviation:
    who = quoted(role)
    remedies = [f"ALTER ROLE {who} BYPASSRLS", f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"]
    if forced:
        remedies.insert(0, f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY, if {who} is its owner")
    else:
        remedies.append(f"GRANT {quoted(owner)} TO {who}, for an owner sees all rows")
    return Deviation(
        f"row level security of {name} applies to the role {who}: its policies could hide rows, and"
        " COPY is refused",
        ", or ".join(remedies),
        True,
    )


def _of_column(
    table: str, column: str, kind: Kind, found: Mapping[str, Any] | None, needed: bool
) -> Iterator[Deviation]:
    name, alter = f"{table}.{quoted(column)}", f"ALTER TABLE {table}"
    if found is None:
        yield Deviation(
            f"{name} is not there",
            f"{alter} ADD COLUMN {quoted(column)} {kind.contract}, or RENAME COLUMN … TO"
            f" {quoted(column)} where it has got another name",
            needed,
        )
        return
    if found["generated"]:
        yield Deviation(
            f"{name} is generated by an expression, and nothing can be written to it",
            f"put a column {quoted(column)} {kind.contract} in its place",
            needed,
        )
    if unfit := _unfit(kind, found):
        problem, is_fatal = unfit
        # Without USING, PostgreSQL would convert a time with a zone to the database's own zone.
        using = f" USING {quoted(column)} AT TIME ZONE 'UTC'" if "tz" in found["type"] else ""
        yield Deviation(
            f"{name} {problem}",
            f"{alter} ALTER COLUMN {quoted(column)} TYPE {kind.contract}{using}",
            needed and is_fatal,
        )
    if found["nullable"]:
        yield Deviation(
            f"{name} may be NULL, which is read as empty",
            f"{alter} ALTER COLUMN {quoted(column)} SET NOT NULL",
            False,
        )


def _unfit(kind: Kind, found: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return what is wrong with a column's type, and whether loads into it fail."""
    type_, modifier = str(found["type"]), int(found["modifier"])
    needed = f"{kind.contract} is needed"
    if type_ == "bpchar" and "citext" in kind.types:
        return f"is of type char, which adds blanks, and {needed}", False
    if type_ not in kind.types:
        return f"is of type {type_}, and {needed}", True
    if type_ == "numeric" and modifier >= 0:
        return f"is numeric with a limit, which rounds or refuses values, and {needed}", False
    size = modifier - 4 if type_ == "varchar" else modifier
    if modifier >= 0 and size < kind.size:
        unit = "digits of a second" if type_ == "timestamp" else "characters"
        return f"holds {size} {unit}, and {kind.size} are needed", True
    if found["folds"] and "citext" not in kind.types:
        return "has a collation in which different ids can be equal", True
    return None


def _of_addition(
    shape: Shape, table: Table, name: str, column: str, found: Mapping[str, Any]
) -> Iterator[Deviation]:
    if found["nullable"] or found["filled"] or found["generated"]:
        return
    writes = shape.name not in ("Users", "SpotifyTokens")
    yield Deviation(
        f"{name}.{quoted(column)} is NOT NULL without a default, and nobody gives it a value"
        + ("" if writes else " when 'songswap connect' adds a user"),
        f"ALTER TABLE {name} ALTER COLUMN {quoted(column)} SET DEFAULT …, or DROP NOT NULL",
        writes and not shape.fills,
    )


def _of_key(shape: Shape, name: str, key: tuple[str, ...], needed: bool) -> Iterator[Deviation]:
    same = [index for index in shape.unique if set(index["columns"]) == set(key)]
    if any(index["lacks"] is None for index in same) or not shape.columns.keys() >= set(key):
        return
    columns = ", ".join(map(quoted, key))
    instead = "".join(f"; {quoted(index['name'])} is {index['lacks']}" for index in same)
    yield Deviation(
        f"{name} has no unique key ({columns}) that holds at once and for all rows{instead}",
        f"ALTER TABLE {name} ADD UNIQUE ({columns})",
        needed,
    )


def _of_parent(shape: Shape, name: str, column: str, parent: str) -> Iterator[Deviation]:
    keys = [key for key in shape.references if key["columns"] == [column]]
    if column not in shape.columns or any(key["cascades"] for key in keys):
        return
    drop = "".join(f"DROP CONSTRAINT {quoted(key['name'])}, " for key in keys)
    yield Deviation(
        f"rows of {name} do not go with those of {parent} that {quoted(column)} names",
        f"ALTER TABLE {name} {drop}ADD FOREIGN KEY ({quoted(column)}) REFERENCES {parent}"
        " ON DELETE CASCADE ON UPDATE CASCADE",
        False,
    )
