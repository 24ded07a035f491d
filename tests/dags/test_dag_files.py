"""The DAG files as operators find them: tags to filter by, and ids that the documents name."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for path in (ROOT / "dags").rglob("*.py") if "@dag(" in path.read_text(encoding="utf-8")
)
KNOWN = {
    "load_history",
    "backfill_data",
    "test_rds_conn",
    "test_discord_provider_package",
    "test_discord_failure_notifications",
    "test_spotipy",
    "test_s3",
    "test_s3_load_user_history",
    "test_file_utils",
    "test_rds_load_artist",
    "test_rds_load_history",
    "test_rds_load_track",
    "test_rds_load_track_features",
}
"""The ids of the previous system."""


FREQUENCIES = {"hourly", "daily", "weekly", "every 10 minutes", "on demand"}
"""Tags that say when a DAG runs by itself: each DAG has one."""


def dags() -> dict[str, tuple[Path, set[str], bool]]:
    """Return the file and the tags of each DAG, and whether it has a schedule; by id."""
    found = {}
    for path in FILES:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for call in function.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "dag":
                    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
                    assert "dag_id" not in arguments, f"{path}: the function's name is the id"
                    tags = ast.literal_eval(arguments["tags"]) if "tags" in arguments else []
                    is_scheduled = ast.unparse(arguments["schedule"]) != "None"
                    found[function.name] = path, set(tags), is_scheduled
    return found


def test_every_dag_has_the_tags_of_its_kind() -> None:
    """All have the tag ``songswap``, and one that says when they run."""
    found = dags()
    assert len(found) == len(FILES) >= 16
    kinds = {"sanity": {"songswap", "sanity", "test"}, "tests": {"songswap", "test", "unit"}}
    for id_, (path, tags, is_scheduled) in found.items():
        assert tags - FREQUENCIES == kinds.get(path.parent.name, {"songswap"}), id_
        (frequency,) = tags & FREQUENCIES
        assert (frequency != "on demand") == is_scheduled, id_


def test_ids_of_the_previous_system_lead_to_new_ones() -> None:
    """The documents map each of them to a DAG that exists."""
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`", page, re.MULTILINE)
    mapped = {old: new for old, new in rows if old in KNOWN}
    assert mapped.keys() == KNOWN
    assert set(mapped.values()) <= dags().keys()
