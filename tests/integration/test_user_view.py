"""What the page shows of one user: the tables' rows, by a login that can read nothing else."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform
from psycopg import sql
from psycopg.conninfo import make_conninfo

from songswap.checks.sanity.context import from_environment
from songswap.checks.sanity.run import run_step
from songswap.clock import utc_now
from songswap.errors import CheckFailed, WarehouseRefused
from songswap.pipelines import freshness, snapshot
from songswap.warehouse import freshness as freshness_facts
from songswap.warehouse import grant_states, rights, snapshots, user_view
from songswap.warehouse.connection import connect
from songswap.warehouse.migrate import require_schema

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
ROLE = "page_of_tests"


def execute(dsn: str, statement: str, *parameters: Any) -> None:
    """Run a statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def view(dsn: str, user: int, now: datetime = NOW) -> dict[str, Any] | None:
    """A user's view."""
    with connect(dsn) as connection:
        return user_view.read(connection, user, now)


def seen(dsn: str, user: int) -> dict[str, Any]:
    """The view of a user who exists."""
    found = view(dsn, user)
    assert found is not None
    return found


@pytest.fixture
def users(warehouse_dsn: str) -> str:
    """A warehouse with the users 0 to 9, of whom the even ones have tokens."""
    execute(
        warehouse_dsn,
        'INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(0, 9) n',
    )
    execute(
        warehouse_dsn,
        """INSERT INTO "SpotifyTokens" SELECT id, 'a' || id, 'r' || id FROM "Users"
        WHERE mod(id, 2) = 0""",
    )
    execute(warehouse_dsn, """INSERT INTO "Tracks" VALUES ('track', 'Song', 1000)""")
    return warehouse_dsn


@pytest.fixture
def page(users: str) -> Iterator[str]:
    """The DSN of a role without any right in this warehouse."""
    role = sql.Identifier(ROLE)
    with psycopg.connect(users, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(role))
        yield make_conninfo(users, user=ROLE, password="secret")
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize("user", [0, 10, -1, 2**31, 2**63, 10**30])
def test_no_such_user(users: str, user: int) -> None:
    """User 0, who belongs to the test DAGs, unknown ids, and numbers that are no id."""
    assert view(users, user) is None


def test_user_of_whom_nothing_is_known(users: str) -> None:
    """90 days without a play; neither a poll, nor a grant, nor gaps, nor imports."""
    found = seen(users, 1)
    days = found.pop("plays_by_day")
    assert (len(days), {day["plays"] for day in days}) == (90, {0})
    assert (days[0]["day"], days[-1]["day"]) == (NOW.date() - timedelta(days=89), NOW.date())
    assert found == {
        "user_id": 1,
        "read_at": NOW,
        "poll": None,
        "grant": None,
        "gaps": [],
        "imports": [],
        "due": None,
        "erasure": None,
    }


def test_user_who_has_to_be_erased_or_was(users: str) -> None:
    """Also one who is not in "Users" any more; with the places that an erasure waits for."""
    due_at = NOW.replace(hour=23, minute=59)
    execute(
        users,
        "INSERT INTO songswap.disconnects VALUES (1, 'revoked', %s, %s), (77, 'gone', %s, %s)",
        *(NOW, due_at) * 2,
    )
    for user, reason in ((1, "revoked"), (77, "gone")):
        due = {"reason": reason, "since": NOW, "due_at": due_at, "day": NOW.date()}
        found = seen(users, user)
        assert (found["due"], found["erasure"]) == (due, None)

    for ended_at in (NOW, None):
        execute(
            users,
            "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at,"
            " renewed_at) VALUES (88, %s, 'due', false, %s, %s)",
            *(NOW, ended_at, ended_at),
        )
    for place, host, confirmed_at in (("s3", None, None), ("4", "h", None), ("5", "i", NOW)):
        execute(
            users,
            "INSERT INTO songswap.erasure_places (erasure_id, place, host, confirmed_at, problem)"
            " SELECT max(erasure_id), %s, %s, %s, 'p' FROM songswap.erasures",
            *(place, host, confirmed_at),
        )
    erasure = seen(users, 88)["erasure"]
    assert erasure.pop("waits_for") == [
        {"place": "s3", "host": None, "problem": "p"},
        {"place": "spool", "host": "h", "problem": "p"},
    ]
    assert erasure == {
        "requested_at": NOW,
        "reason": "due",
        "keeps_account": False,
        "ended_at": None,
        "renewed_at": None,
    }
    execute(users, "DELETE FROM songswap.erasures WHERE ended_at IS NULL")
    erasure = seen(users, 88)["erasure"]
    assert (erasure["ended_at"], erasure["renewed_at"], erasure["waits_for"]) == (NOW, NOW, [])


def test_what_is_shown(users: str) -> None:
    """Plays by day of UTC, the last poll, gaps and imports, the newest first; nobody else's."""
    for user in (2, 4):
        for at in (NOW, NOW.replace(hour=0, minute=0), NOW - timedelta(hours=18, minutes=31)):
            execute(users, """INSERT INTO "History" VALUES (%s, %s, 'track')""", user, at)
    for at in (NOW - timedelta(days=91), NOW + timedelta(minutes=1)):
        execute(users, """INSERT INTO "History" VALUES (2, %s, 'track')""", at)
    execute(
        users,
        "INSERT INTO songswap.polls (user_id, polled_at, answered_at, problem)"
        " VALUES (2, %s, %s, 'forbidden'), (4, %s, NULL, NULL)",
        *(NOW, NOW - timedelta(hours=1), NOW),
    )
    for hours in range(30):
        for user in (2, 4):
            execute(
                users,
                "INSERT INTO songswap.gaps VALUES (%s, %s, %s, %s, 'r', %s)",
                *(user, NOW - timedelta(hours=hours + 1), NOW - timedelta(hours=hours)),
                *(NOW, NOW if hours % 2 else None),
            )
    execute(
        users,
        "INSERT INTO songswap.imports VALUES ('one', 2, %s, %s, '{k}', '{\"rows\": 3}'),"
        " ('two', 2, %s, %s, '{k}', '{}'), ('three', 4, %s, %s, '{k}', '{}')",
        *(NOW - timedelta(days=2), NOW - timedelta(days=2), NOW, NOW, NOW, NOW),
    )
    found = seen(users, 2)
    assert [day["plays"] for day in found["plays_by_day"][-3:]] == [0, 1, 2]
    assert sum(day["plays"] for day in found["plays_by_day"]) == 3
    assert found["poll"] == {
        "polled_at": NOW,
        "answered_at": NOW - timedelta(hours=1),
        "newest_played_at": None,
        "problem": "forbidden",
    }
    assert len(found["gaps"]) == 20
    assert found["gaps"][0]["closed_at"] is None
    assert found["gaps"][1] == {
        "after": NOW - timedelta(hours=2),
        "before": NOW - timedelta(hours=1),
        "found_at": NOW,
        "closed_at": NOW,
    }
    assert [made["import_id"] for made in found["imports"]] == ["two", "one"]
    assert found["imports"][1]["counts"] == {"rows": 3}


def test_grant_is_as_all_commands_have_it(users: str) -> None:
    """Its state and its end, for tokens of which a run has taken note; for others there is none."""
    found = set()
    for state, days in itertools.product(
        ("active", "refused", "revoked", "forbidden", "lost"), (None, 1, 155, 170, 190)
    ):
        execute(users, "DELETE FROM songswap.grants")
        if days is not None:
            execute(
                users,
                "INSERT INTO songswap.grants"
                " (user_id, state, refresh_digest, authorized_at, problem)"
                " VALUES (2, %s, sha256('r2'), %s, 'why')",
                *(state, NOW - timedelta(days=days)),
            )
        with connect(users) as connection:
            known = {
                grant.user_id: grant
                for grant in grant_states.find(connection, grant_states.STATES, NOW)
            }[2]
        grant = seen(users, 2)["grant"]
        assert grant == {name: getattr(known, name) for name in grant}, (state, days)
        found.add(grant["state"])
    assert found == set(grant_states.STATES)


def test_grant_without_tokens(users: str) -> None:
    """There is none, whatever a run noted of tokens that are gone."""
    execute(users, "INSERT INTO songswap.grants (user_id, authorized_at) VALUES (3, %s)", NOW)
    assert seen(users, 3)["grant"] is None


def check(login: str) -> str:
    """The step of `songswap check postgres`, with a login of the page."""
    parts = psycopg.conninfo.conninfo_to_dict(login)
    uri = "postgres://{user}:{password}@{host}:{port}/{dbname}".format(**parts)
    return run_step(
        "postgres",
        "read_only",
        from_environment({"AIRFLOW_CONN_SONGSWAP_RDS_READONLY": uri}, "a run", utc_now),
    )


def named_grants(login: str) -> list[str]:
    """The GRANTs that the check names."""
    with pytest.raises(CheckFailed) as refused:
        check(login)
    return str(refused.value).partition("owner run: ")[2].split("; ")


def read_all(login: str) -> None:
    """All that the page and the monitors read."""
    assert seen(login, 2)
    with connect(login) as connection:
        require_schema(connection)
        assert snapshots.latest(connection, NOW)
        assert snapshots.plays_by_hour(connection, NOW)
        freshness.decide(freshness_facts.read(connection, NOW), freshness.LIMIT, NOW)


def test_page_reads_with_exactly_the_grants_that_are_named(users: str, page: str) -> None:
    """And with each of them: without any one of these columns something is refused."""
    assert snapshot.take(users, "r", lambda: NOW) == []
    execute(users, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    grants = named_grants(page)
    assert len(grants) == len(rights.READ_BY_PAGE) + 2, "both schemas, and each table"
    assert 'GRANT SELECT (user_id, played_at) ON public."History" TO page_of_tests' in grants
    assert "GRANT SELECT ON songswap.snapshots TO page_of_tests" in grants
    for grant in grants:
        execute(users, grant)
    assert "write nothing" in check(page)
    read_all(page)
    columns = [
        grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM ")
        for grant in grants
        if "SELECT" in grant
    ]
    for revoke in columns:
        execute(users, revoke)
        (named,) = named_grants(page)
        assert named in grants
        with pytest.raises(WarehouseRefused, match="permission denied"):
            read_all(page)
        execute(users, named)
    read_all(page)


def test_documented_grants_are_enough(users: str, page: str) -> None:
    """And are those that the demo runs: nothing is missing, nothing is too much."""
    text = (Path(__file__).parents[2] / "docs/deployment.md").read_text()
    _, _, block = text.partition("CREATE ROLE songswap_page")
    _, *grants = block.partition("```")[0].strip().removesuffix(";").split(";\n")
    assert grants == rights.page_grants("public", "songswap_page")
    assert snapshot.take(users, "r", lambda: NOW) == []
    for grant in rights.page_grants("public", ROLE):
        execute(users, grant)
    assert "write nothing" in check(page)
    read_all(page)


def test_page_can_write_nothing(users: str, page: str) -> None:
    """Neither change a row nor read a token, a name or an address."""
    for grant in named_grants(page):
        execute(users, grant)
    refused = (
        'DELETE FROM "History"',
        "INSERT INTO songswap.plays_by_hour VALUES (now(), 1)",
        "UPDATE songswap.snapshots SET run_id = ''",
        "TRUNCATE songswap.runs",
        'SELECT access_token FROM "SpotifyTokens"',
        "SELECT refresh_token FROM songswap.tokens",
        'SELECT email FROM "Users"',
        'SELECT username FROM "Users"',
        'SELECT track_id FROM "History"',
        "SELECT refresh_digest FROM songswap.grants",
        "CREATE TABLE songswap.mine ()",
    )
    for statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(page, statement)


@pytest.mark.parametrize(
    ("grant", "named"),
    [
        ('GRANT INSERT, DELETE ON "History" TO {}', 'INSERT, DELETE on public."History"'),
        ('GRANT UPDATE (name) ON "Tracks" TO {}', 'UPDATE on public."Tracks"'),
        ("GRANT TRUNCATE ON songswap.gaps TO {}", "TRUNCATE on songswap.gaps"),
        ("GRANT CREATE ON SCHEMA songswap TO {}", "CREATE on schema songswap"),
        ('GRANT SELECT ON "SpotifyTokens" TO {}', "access_token, refresh_token"),
        ("GRANT SELECT (access_token) ON songswap.tokens TO {}", "SELECT (access_token)"),
        ("GRANT songswap TO {}", 'DELETE, TRUNCATE on public."History"'),
    ],
)
def test_login_that_may_more(users: str, page: str, grant: str, named: str) -> None:
    """The check is red, and names what the page's login must not have."""
    for statement in named_grants(page):
        execute(users, statement)
    execute(users, grant.format(ROLE))
    with pytest.raises(CheckFailed, match="may do more") as refused:
        check(page)
    assert named in str(refused.value)


def test_the_pipelines_own_login_is_refused(make_platform: MakePlatform) -> None:
    """In place of one that only reads."""
    dsn = make_platform(users=1).settings.warehouse_dsn
    with pytest.raises(CheckFailed, match="may do more"):
        check(dsn)


def test_connection_is_not_set(warehouse_dsn: str) -> None:
    """Workers do not need it: the check says so, and passes."""
    message = run_step("postgres", "read_only", from_environment({}, "a run", utc_now))
    assert "not set here" in message
    parts = psycopg.conninfo.conninfo_to_dict(warehouse_dsn)
    with pytest.raises(CheckFailed, match=r"\(connection SongSwap_RDS_ReadOnly\)"):
        check(make_conninfo(warehouse_dsn, user=str(parts["user"]), password="no"))
