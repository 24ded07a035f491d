"""The page in Airflow, in a real browser: what an operator sees, and that nothing else happens."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest
from e2e import page_rows
from e2e.api_server import PASSWORD, ApiServer
from e2e.browser import Chromium, Watched
from e2e.page_rows import DAG, HOSTILE
from playwright.sync_api import Locator, expect

from songswap.dev.stack.loopback import call_json

expect.set_options(timeout=120_000)

# One api-server for these and test_page_access.py.
pytestmark = pytest.mark.xdist_group("page")

PAGE = "/plugin/songswap"
Open = Callable[..., Watched]


def minutes_ago(minutes: float) -> datetime:
    """A time in the past."""
    return datetime.now(UTC) - timedelta(minutes=minutes)


def write(dsn: str, taken_at: datetime, **changed: Any) -> None:
    """Write a snapshot with everything, but for what is changed."""
    page_rows.write(dsn, taken_at, {**page_rows.facts(taken_at), **changed})


@pytest.fixture
def opened(chromium: Chromium) -> Iterator[Open]:
    """Opens the page, as a viewer unless another is named."""
    made: list[Watched] = []

    def open_page(server: ApiServer, user: str = "viewer") -> Watched:
        made.append(chromium.open(server.url, server.token(user)))
        made[-1].page.goto(server.url + PAGE, wait_until="commit")
        return made[-1]

    yield open_page
    for watched in made:
        watched.page.close()


def banner(watched: Watched) -> Locator:
    """The line with the state."""
    return watched.page.locator(".songswap .ss-banner")


def test_operator_finds_the_page_after_logging_in(
    chromium: Chromium, api_server: ApiServer, page_warehouse: str
) -> None:
    """From the login over the panel on Airflow's home and the navigation."""
    write(page_warehouse, minutes_ago(5), hosts=[])
    watched = chromium.open(api_server.url)
    page = watched.page
    page.goto(api_server.url)
    page.fill("input[name=username]", "viewer")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    panel = page.locator(".ss-panel")
    expect(panel).to_contain_text("Fresh")
    expect(panel).to_contain_text("Open gaps7")
    watched.faults.clear()  # Airflow's own 401, which leads to the login
    page.get_by_role("link", name="SongSwap").first.click()
    expect(page.get_by_role("heading", name="SongSwap", level=1)).to_be_visible()
    expect(banner(watched)).to_contain_text("the last run ended well")
    for heading in ("Plays an hour", "Freshness", "Hourly runs", "Coverage", "Gaps", "Grants"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    assert watched.faults == []


def test_chart_has_the_numbers_of_the_warehouse(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """As columns, as a table, and by the arrow keys."""
    write(page_warehouse, minutes_ago(5))
    with psycopg.connect(page_warehouse) as connection:
        rows = connection.execute(
            "SELECT plays FROM songswap.plays_by_hour ORDER BY hour DESC LIMIT 48"
        ).fetchall()
    plays = [row[0] for row in rows][::-1]
    watched = opened(api_server)
    section = watched.page.locator("section", has_text="Plays an hour").first
    columns = section.locator(".ss-column")
    expect(columns).to_have_count(48)
    drawn = [int(column.get_attribute("data-value") or "") for column in columns.all()]
    # The hour may have changed since.
    assert drawn in (plays, plays[1:])
    expect(section.locator(".ss-readout")).to_contain_text(f"{sum(drawn):,} plays in all")
    section.get_by_text("As a table").click()
    cells = section.locator("tbody td").all_inner_texts()
    assert [int(cell.replace(",", "")) for cell in cells if cell != "not counted"] == drawn[::-1]
    slider = section.get_by_role("slider")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(f" UTC .*: {drawn[0]:,} play"))
    section.get_by_role("button", name="30 days", exact=True).click()
    expect(section.locator(".ss-readout")).to_contain_text("plays in all")
    assert section.locator(".ss-area").get_attribute("d")
    assert watched.faults == []


def test_run_leads_to_the_page_of_the_run(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """Inside Airflow, without loading it again."""
    url = f"{api_server.url}/api/v2/dags/{DAG}/dagRuns"
    started = call_json("POST", url, {"logical_date": None}, api_server.token("admin"))
    run_id = started["dag_run_id"]
    run = page_rows.run(minutes_ago(20), run_id=run_id, dag_run_id=run_id)
    write(page_warehouse, minutes_ago(5), run=run, runs=[run])
    watched = opened(api_server)
    watched.page.evaluate("globalThis.same = true")
    watched.page.locator(".ss-strip a").click()
    watched.page.wait_for_url(lambda url: f"/dags/{DAG}/runs/{run_id}" in unquote(url))
    expect(watched.page.get_by_text(run_id).first).to_be_visible()
    assert watched.page.evaluate("globalThis.same")


def test_text_from_outside_is_never_markup(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """Whatever a problem, a host, a run or a step is called."""
    taken_at = minutes_ago(5)
    facts = page_rows.facts(taken_at)
    step = {"step": HOSTILE, "state": HOSTILE, "parts": 2, "failed": 1, "problem": HOSTILE}
    run = page_rows.run(taken_at, "failed", run_id=HOSTILE, dag_id="../..", dag_run_id=HOSTILE)
    run |= {"problem": HOSTILE, "steps": [step]}
    host = {**facts["hosts"][1], "host": HOSTILE, "problem": HOSTILE}
    pause = {"app": HOSTILE, "reason": HOSTILE, "until": minutes_ago(-60).isoformat()}
    write(
        page_warehouse,
        taken_at,
        run=run,
        runs=[run, {**run, "state": HOSTILE, "started_at": HOSTILE, "run_id": "other"}],
        hosts=[host],
        requests={**facts["requests"], "pauses": [pause]},
        catalogue={"tracks": {"total": 5, HOSTILE: 3}, "artists": None, "counted_at": HOSTILE},
        grants={"states": {HOSTILE: 3, "active": HOSTILE}, "ending": [{"day": HOSTILE}]},
        imports=[{"import_id": HOSTILE, "user_id": HOSTILE, "counts": {"rows": HOSTILE}}],
        erasing={
            "due_users": HOSTILE,
            "due": [{"user_id": HOSTILE, "reason": HOSTILE, "day": HOSTILE}],
            "open": [
                {
                    "user_id": 5,
                    "waits_for": [{"place": "spool", "host": HOSTILE, "problem": HOSTILE}],
                }
            ],
        },
    )
    watched = opened(api_server)
    expect(banner(watched)).to_contain_text(HOSTILE)
    section = watched.page.locator("section", has_text="Hosts and their spools")
    expect(section).to_contain_text(HOSTILE)
    expect(watched.page.get_by_role("region", name="To erase")).to_contain_text(HOSTILE)
    assert watched.page.locator(".songswap img").count() == 0
    assert watched.page.title() != "owned"
    links = watched.page.locator(".songswap a").evaluate_all("all => all.map(one => one.href)")
    assert links
    assert all(link.startswith(f"{api_server.url}/") for link in links)
    assert watched.faults == []


def test_each_state_says_what_it_is(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """In words, with what to do."""
    watched = opened(api_server)

    def shows(*texts: str) -> None:
        watched.page.get_by_role("button", name="Refresh").click()
        for text in texts:
            expect(banner(watched)).to_contain_text(text)

    page_rows.write(page_warehouse, datetime.now(UTC), None, hours=0)
    watched.page.reload()
    shows("No data yet", "Switch the DAG on")
    write(page_warehouse, minutes_ago(91))
    shows("Stale", "No hourly run has ended for 1 h 31 min", "plays may be lost")
    failed = [page_rows.run(minutes_ago(20 + 60 * n), "failed") for n in range(3)]
    write(page_warehouse, minutes_ago(5), run=failed[0], runs=failed)
    shows("Failing", "as did 2 runs before it", str(failed[0]["problem"]))
    pauses = [{"app": "a", "reason": "quota", "until": minutes_ago(-60).isoformat()}]
    write(page_warehouse, minutes_ago(5), requests={"pauses": pauses})
    shows("Paused", "Spotify takes no requests until")
    others = [{**pauses[0], "app": app} for app in ("a artists", "reccobeats")]
    write(page_warehouse, minutes_ago(5), hosts=[], requests={"pauses": others})
    shows("Fresh")
    write(page_warehouse, minutes_ago(5))
    shows("Needs a look", "1 host (worker-2)")
    write(page_warehouse, minutes_ago(5), hosts=[])
    shows("Fresh")
    assert watched.faults == []


def test_missing_parts_are_named_and_the_rest_is_shown(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """A snapshot of another version, or one whose counts failed."""
    page_rows.write(
        page_warehouse,
        minutes_ago(5),
        {
            "freshness": {"newest_play": None, "users": None, "answered": None},
            "gaps": {"open": 3},
            "catalogue": None,
            "runs": "of another version",
            "grants": {},
        },
    )
    watched = opened(api_server)
    expect(banner(watched)).to_contain_text("Fresh")
    coverage = watched.page.locator("section", has_text="Coverage")
    expect(coverage).to_contain_text("The snapshot says nothing about this.")
    expect(watched.page.locator("section", has_text="Gaps")).to_contain_text("3 open")
    assert watched.faults == []


def test_failure_is_a_sentence_and_data_stays(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """A refresh that fails says so above what was read before."""
    write(page_warehouse, minutes_ago(5))
    watched = opened(api_server)
    expect(banner(watched)).to_contain_text("Needs a look")
    with psycopg.connect(page_warehouse) as connection:
        connection.execute("LOCK TABLE songswap.snapshots IN ACCESS EXCLUSIVE MODE")
        watched.page.get_by_role("button", name="Refresh").click()
        alert = watched.page.get_by_role("alert")
        expect(alert).to_contain_text("Not refreshed")
        expect(alert).to_contain_text("lock")
    expect(watched.page.get_by_role("heading", name="Coverage")).to_be_visible()


def test_page_refreshes_itself_each_minute(
    chromium: Chromium, api_server: ApiServer, page_warehouse: str
) -> None:
    """What was chosen stays chosen."""
    write(page_warehouse, minutes_ago(5))
    watched = chromium.open(api_server.url, api_server.token("viewer"))
    watched.page.clock.install()
    watched.page.goto(api_server.url + PAGE)
    choice = watched.page.get_by_role("button", name="30 days", exact=True)
    choice.click()
    write(page_warehouse, minutes_ago(4), gaps={"open": 4_321, "newest": []})
    watched.page.clock.fast_forward(80_000)
    expect(watched.page.locator(".ss-tiles")).to_contain_text("4,321")
    expect(choice).to_have_attribute("aria-pressed", "true")
    assert watched.faults == []
    watched.page.close()


def test_user_by_id(opened: Open, api_server: ApiServer, page_warehouse: str) -> None:
    """By the form, with the right plays a day; an unknown one is a sentence."""
    write(page_warehouse, minutes_ago(5))
    with psycopg.connect(page_warehouse) as connection:
        rows = connection.execute(
            'SELECT count(*) FROM "History" WHERE user_id = 12 AND played_at::date >'
            " (now() AT TIME ZONE 'UTC')::date - 90 GROUP BY played_at::date ORDER BY 1"
        ).fetchall()
    watched = opened(api_server)
    page = watched.page
    page.get_by_label("User id").fill("twelve")
    page.get_by_role("button", name="Show user").click()
    expect(page.get_by_role("alert")).to_contain_text("An id is a number")
    page.get_by_label("User id").fill("12")
    page.get_by_label("User id").press("Enter")
    expect(page.get_by_role("heading", name="User 12")).to_be_visible()
    columns = page.locator("section", has_text="Plays a day").locator(".ss-column")
    expect(columns).to_have_count(90)
    drawn = [int(column.get_attribute("data-value") or "") for column in columns.all()]
    assert sorted(value for value in drawn if value) == [row[0] for row in rows]
    expect(page.locator(".songswap")).to_contain_text(HOSTILE)
    expect(page.locator("section", has_text="Imports")).to_contain_text("8,000")
    assert watched.faults == []
    page.goto(f"{api_server.url}{PAGE}?user=13")
    expect(page.get_by_role("alert")).to_contain_text("There is no user with the id 13")


def test_who_has_to_be_erased(opened: Open, api_server: ApiServer, page_warehouse: str) -> None:
    """By day, with the ids that lead to the users; and which places erasures wait for."""
    write(page_warehouse, minutes_ago(5))
    with psycopg.connect(page_warehouse) as connection:
        connection.execute(
            "INSERT INTO songswap.disconnects VALUES (12, 'revoked', now() - interval '5 days',"
            " now()), (31, 'gone', now() - interval '6 days', now() - interval '1 day')"
        )
        connection.execute(
            "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at)"
            " VALUES (1888, now(), 'request', false, NULL), (99, now(), 'due', false, now())"
        )
        connection.execute(
            "INSERT INTO songswap.erasure_places (erasure_id, place, host)"
            " SELECT erasure_id, '5', 'worker-1' FROM songswap.erasures WHERE user_id = 1888"
        )
    watched = opened(api_server)
    page = watched.page
    section = page.get_by_role("region", name="To erase")
    expect(section.get_by_label("Users who have to be erased").locator("tbody tr")).to_have_count(4)
    for text in ("overdue", "today", "tomorrow", "in 4 days", "gone from the platform"):
        expect(section).to_contain_text(text)
    expect(section).to_contain_text("User 40, User 77")
    expect(section).to_contain_text("the spool of worker-2")
    section.get_by_role("link", name="User 12", exact=True).click()
    expect(page.get_by_role("heading", name="User 12")).to_be_visible()
    expect(page.locator(".ss-is-bad")).to_contain_text("(today): grant revoked at Spotify")
    for user, sentence in (
        (31, "(overdue): gone from the platform"),
        (1888, "and waits for the spool of worker-1"),
        (99, "Nothing of this user is polled or loaded."),
    ):
        page.goto(f"{api_server.url}{PAGE}?user={user}")
        expect(page.locator(".ss-banner")).to_contain_text(sentence)
    write(page_warehouse, minutes_ago(5), erasing={"due_users": 0, "due": [], "open": []})
    page.goto(f"{api_server.url}{PAGE}")
    expect(section).to_contain_text("Nobody has to be erased.")
    expect(section.get_by_role("heading", level=3)).to_have_count(0)
    assert watched.faults == []


def test_page_fits_and_follows_the_theme(
    opened: Open, api_server: ApiServer, page_warehouse: str
) -> None:
    """Nothing is wider than the window, and text is readable on its ground."""
    write(page_warehouse, minutes_ago(5))
    watched = opened(api_server)
    page = watched.page
    expect(banner(watched)).to_contain_text("Needs a look")
    grounds = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        expect(page.locator(f"html.{scheme}")).to_be_attached()
        ground = banner(watched).evaluate("one => getComputedStyle(one).backgroundColor")
        assert ground != page.locator(".songswap").evaluate("one => getComputedStyle(one).color")
        grounds.add(ground)
        for width in (1400, 390):
            page.set_viewport_size({"width": width, "height": 900})
            expect(page.locator(".songswap .ss-column").last).to_be_visible()
            main = "document.querySelector('[data-testid=main-content]')"
            assert page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    assert len(grounds) == 2
    assert watched.faults == []


def test_page_does_not_exist_for_those_who_may_not_see_it(
    chromium: Chromium, api_server: ApiServer
) -> None:
    """Airflow does not tell them of plugins."""
    watched = chromium.open(api_server.url, api_server.token("nobody"))
    watched.page.goto(f"{api_server.url}{PAGE}", wait_until="commit")
    expect(watched.page.locator("body")).to_contain_text("Page Not Found")
    assert watched.page.locator(".songswap").count() == 0
    watched.page.close()


def test_page_under_fab(opened: Open, fab_server: ApiServer, page_warehouse: str) -> None:
    """Who may read plugins, there Op and Admin, finds the page in the navigation."""
    write(page_warehouse, minutes_ago(5), hosts=[])
    watched = opened(fab_server, "admin")
    expect(banner(watched)).to_contain_text("Fresh")
    expect(watched.page.get_by_role("link", name="SongSwap")).to_be_visible()
    assert watched.faults == []
