"""Old log files go, with the folders that held them; nothing else does."""

import os
import tempfile
from pathlib import Path

from songswap.storage import log_files

DAY = 86_400
NOW = 1_800_000_000
LIMIT = NOW - 30 * DAY


def write(path: Path, days_old: float, text: str = "12345") -> Path:
    """Write a file, and give it and its folder an age."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    age(days_old, path, path.parent)
    return path


def age(days_old: float, *paths: Path) -> None:
    """Set when files or folders were last changed."""
    for path in paths:
        os.utime(path, (NOW - days_old * DAY, NOW - days_old * DAY))


def test_old_logs_go_with_their_folders(tmp_path: Path) -> None:
    """Of a run that is old; the folder of its DAG, which has a new run, stays. A dry run counts."""
    dag = tmp_path / "dag_id=load"
    old = write(dag / "run_id=old/task_id=plan/attempt=1.log", 31)
    write(dag / "run_id=old/task_id=plan/attempt=1.log.trigger.7.log", 31)
    new = write(dag / "run_id=new/task_id=plan/attempt=1.log", 29)
    age(31, dag / "run_id=old")
    age(1, dag)

    counted = log_files.delete_old(tmp_path, LIMIT, dry_run=True)
    assert (counted.files, counted.bytes) == (2, 10)
    assert old.exists()

    deleted = log_files.delete_old(tmp_path, LIMIT)
    assert (deleted.files, deleted.bytes, deleted.folders, deleted.failed) == (2, 10, 2, 0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [new]
    assert not (dag / "run_id=old").exists()
    assert log_files.delete_old(tmp_path, LIMIT) == log_files.Deleted()


def test_other_files_stay(tmp_path: Path) -> None:
    """Those that are no logs, those right in the folder, and whatever a link leads to."""
    elsewhere = write(tmp_path / "elsewhere/kept.log", 99)
    logs = tmp_path / "logs"
    kept = [
        write(logs / "scheduler.log", 99),
        write(logs / "dag_id=a/notes.txt", 99),
        elsewhere,
    ]
    (logs / "dag_processor").mkdir()
    (logs / "dag_processor/latest").symlink_to(elsewhere.parent)
    (logs / "dag_id=a/linked.log").symlink_to(elsewhere)
    (logs / "all").symlink_to(elsewhere.parent)

    assert log_files.delete_old(logs, LIMIT).files == 0
    assert all(path.exists() for path in kept)
    assert (logs / "dag_processor/latest").is_symlink()


def test_folder_in_use_stays(tmp_path: Path) -> None:
    """A folder that is empty and new is one into which Airflow is about to write."""
    waiting = tmp_path / "dag_id=a/run_id=new/task_id=b"
    waiting.mkdir(parents=True)
    age(0, waiting)
    write(tmp_path / "dag_id=a/run_id=cleared/task_id=b/attempt=1.log", 40)
    # A task of an old run was cleared: a new folder is beside the old log.
    age(0, tmp_path / "dag_id=a/run_id=cleared/task_id=b")
    assert log_files.delete_old(tmp_path, LIMIT).files == 1
    assert waiting.exists()
    assert (tmp_path / "dag_id=a/run_id=cleared/task_id=b").exists()


def test_missing_folder_has_nothing(tmp_path: Path) -> None:
    """A machine without logs is clean."""
    assert log_files.delete_old(tmp_path / "nowhere", LIMIT) == log_files.Deleted()


def test_log_that_may_not_be_deleted_is_counted() -> None:
    """And named, with the reason; all others are deleted."""
    with tempfile.TemporaryDirectory() as name:  # its parents let everybody in
        logs = Path(name)
        logs.chmod(0o755)
        closed = write(logs / "dag_id=a/run_id=b/attempt=1.log", 40)
        closed.parent.chmod(0o555)
        free = write(logs / "dag_id=c/run_id=d/attempt=1.log", 40)
        free.parent.chmod(0o777)
        user = os.geteuid()
        if user == 0:  # whom nothing is forbidden
            os.seteuid(65_534)
        try:
            deleted = log_files.delete_old(logs, LIMIT)
        finally:
            os.seteuid(user)
        closed.parent.chmod(0o755)
        assert (deleted.files, deleted.failed) == (1, 1)
        assert deleted.problem == f"{closed}: Permission denied"
        assert not free.exists()
