"""What libpq is told beside the operator's own words, and which of them holds."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from songswap.warehouse.conninfo import server_settings, with_defaults
from songswap.warehouse.timeouts import limits

USUAL = {
    "application_name": "songswap",
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "38",
    "keepalives_interval": "12",
    "keepalives_count": "3",
    "tcp_user_timeout": "75000",
    "client_encoding": "UTF8",
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SONGSWAP_WAIT_S", "PGAPPNAME", "PGCONNECT_TIMEOUT", "PGOPTIONS", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


def test_name_and_limits_are_added() -> None:
    assert conninfo_to_dict(with_defaults("host=h", limits())) == {"host": "h", **USUAL}


def test_settings_of_the_connection_win() -> None:
    own = {
        "host": "a,b",
        "options": "-c geqo=off",
        "application_name": "nightly",
        "connect_timeout": "3",
        "keepalives": "0",
        "tcp_user_timeout": "5",
        "target_session_attrs": "read-write",
    }
    # But for the encoding in which values are read and written.
    dsn = "client_encoding=latin1 " + " ".join(f"{name}='{value}'" for name, value in own.items())
    assert conninfo_to_dict(with_defaults(dsn, limits())) == {**USUAL, **own}


def test_settings_of_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libpq's own variables."""
    monkeypatch.setenv("PGAPPNAME", "nightly")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    monkeypatch.setenv("PGOPTIONS", "-c geqo=off")
    result = conninfo_to_dict(with_defaults("host=h", limits()))
    assert (result["application_name"], result["connect_timeout"]) == ("nightly", "4")
    # Libpq reads it itself.
    assert "options" not in result


@pytest.mark.parametrize("wait_s", ["0.1", "3", "60", "3600"])
def test_vanished_host_is_detected_within_two_minutes(
    wait_s: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any setting: on both sides, idle and while sending. The last probe's response is waited
    for before the limit is checked, and a server checks its client every five seconds."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", wait_s)
    ours, theirs = conninfo_to_dict(with_defaults("", limits())), server_settings(limits())
    for idle, interval, count, unanswered in (
        [ours[f"keepalives_{name}"] for name in ("idle", "interval", "count")]
        + [ours["tcp_user_timeout"]],
        [theirs[f"tcp_keepalives_{name}"] for name in ("idle", "interval", "count")]
        + [theirs["tcp_user_timeout"]],
    ):
        asked_s = int(str(idle)) + int(str(interval)) * (int(str(count)) + 1)
        assert max(asked_s, int(str(unanswered)) / 1000) + 5 < 120
        assert min(int(str(idle)), int(str(interval))) >= 1


def test_lock_is_waited_for_longer_than_nothing_is_read() -> None:
    """Who copies rows and waits for a lock meanwhile is not taken for vanished."""
    assert limits().vanished_s > limits().lock_s
