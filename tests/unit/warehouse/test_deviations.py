"""How a table that is otherwise as the contract has it differs: pure."""

from collections.abc import Mapping
from typing import Any

import pytest

from songswap.warehouse.contract import TABLES
from songswap.warehouse.deviations import Shape, of_references, of_table

_TYPES = {"integer": "int4", "float": "float8", "boolean": "bool", "timestamp": "timestamp"}


def column(contract: str, **other: Any) -> dict[str, Any]:
    """A column as the contract has it, but for ``other``."""
    size = int(contract[8:-1]) + 4 if contract.startswith("varchar") else -1
    found = {
        "type": _TYPES.get(contract, "varchar" if size > 0 else "text"),
        "modifier": size,
        "nullable": False,
        "filled": False,
        "generated": False,
        "folds": False,
    }
    return found | other


def shape(name: str, columns: Mapping[str, dict[str, Any]] | None = None, **other: Any) -> Shape:
    """A table as the contract has it, but for some columns (added, or in place of its own)."""
    table = TABLES[name]
    own = {each: column(kind.contract) for each, kind in table.columns.items()}
    unique: list[Mapping[str, Any]] = [
        {"name": f"key_{place}", "columns": list(key), "lacks": None}
        for place, key in enumerate((table.key, *table.keys))
    ]
    references: list[Mapping[str, Any]] = [
        {"name": f"{each}_fkey", "columns": [each], "parent": parent, "cascades": True}
        for each, parent in table.parents.items()
    ]
    columns = own | dict(columns or {})
    made = Shape(name, "r", "owner", False, False, False, columns, unique, references)
    return made._replace(**other)


def problems(found: Shape) -> list[str]:
    return [one.problem for one in of_table(found, "public", "me")]


@pytest.mark.parametrize("name", TABLES)
def test_the_contract_itself(name: str) -> None:
    """A table as the contract has it deviates in nothing."""
    assert problems(shape(name)) == []


@pytest.mark.parametrize("name", TABLES)
def test_each_column_is_needed(name: str) -> None:
    """Whichever column is missing is named, with its type."""
    whole = shape(name)
    for missing, kind in TABLES[name].columns.items():
        left = {each: found for each, found in whole.columns.items() if each != missing}
        deviations = [*of_table(whole._replace(columns=left), "public", "me")]
        assert [f'public."{name}".{missing} is not there'] == [
            deviation.problem for deviation in deviations
        ]
        assert f"ADD COLUMN {missing} {kind.contract}" in deviations[0].remedy
        assert deviations[0].is_fatal == (missing in TABLES[name].loaded)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("lacks", ["deferrable", "partial", "of expressions", "not valid"])
def test_a_key_that_holds_later_or_for_some(name: str, lacks: str) -> None:
    """It is named with what it lacks; a good one beside it makes up for it."""
    whole = shape(name)
    bad: list[Mapping[str, Any]] = [{**key, "lacks": lacks} for key in whole.unique]
    deviations = [*of_table(whole._replace(unique=bad), "public", "me")]
    assert len(deviations) == len(bad)
    assert all(f"is {lacks}" in deviation.problem for deviation in deviations)
    assert deviations[0].is_fatal
    assert problems(whole._replace(unique=bad + list(whole.unique))) == []


def test_an_added_column() -> None:
    """Only one that nobody gives a value stops loads, and not of tables that no load adds to."""
    for harmless in ({"nullable": True}, {"filled": True}, {"generated": True}):
        assert problems(shape("Tracks", {"label": column("text", **harmless)})) == []
    label = {"Label": column("text")}
    (deviation,) = of_table(shape("Tracks", label), "public", "me")
    assert deviation.is_fatal
    assert 'ALTER TABLE public."Tracks" ALTER COLUMN "Label" SET DEFAULT' in deviation.remedy
    assert not next(iter(of_table(shape("Tracks", label, fills=True), "public", "me"))).is_fatal
    assert not next(iter(of_table(shape("Users", label), "public", "me"))).is_fatal


def test_ids_that_fold() -> None:
    """Ids differ in the case of their letters alone: what takes such for equal is no key."""
    for found in (column("varchar(24)", folds=True), column("varchar(24)", type="citext")):
        (deviation,) = of_table(shape("ArtistGenres", {"id": found}), "public", "me")
        assert deviation.is_fatal
        assert deviation.remedy.endswith("ALTER COLUMN id TYPE varchar(24)")
    assert problems(shape("Artists", {"name": column("varchar(120)", type="citext")})) == []


def test_advice_on_policies_depends_on_whether_owners_are_under_them() -> None:
    (deviation,) = of_table(shape("History", hides_rows=True), "Music", "Me")
    assert deviation.is_fatal
    assert 'ALTER ROLE "Me" BYPASSRLS' in deviation.remedy
    assert 'ALTER TABLE "Music"."History" DISABLE ROW LEVEL SECURITY' in deviation.remedy
    assert 'GRANT owner TO "Me"' in deviation.remedy
    (deviation,) = of_table(shape("History", hides_rows=True, forced=True), "public", "me")
    assert 'ALTER TABLE public."History" NO FORCE ROW LEVEL SECURITY' in deviation.remedy
    assert "GRANT" not in deviation.remedy


@pytest.mark.parametrize("relkind", ["v", "m", "f"])
def test_view_is_reported_only_as_no_table(relkind: str) -> None:
    (deviation,) = problems(shape("History")._replace(relkind=relkind, columns={}))
    assert "whose rows have no key" in deviation
    assert problems(shape("History", relkind="p")) == []


def test_references_to_another_schema() -> None:
    """Our tables have to refer to those that are used."""
    assert [*of_references("music", [], "me")] == []
    assert [*of_references("music", ["music"], "me")] == []
    (deviation,) = of_references("music", ["public"], "me")
    assert deviation.is_fatal
    assert "ALTER ROLE me SET search_path = public" in deviation.remedy
