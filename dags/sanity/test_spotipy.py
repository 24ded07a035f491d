"""
### Do the app's credentials open Spotify?

Each day, and on demand: gets a token for the app itself with spotipy, and reads one artist. No
user's token is touched, and the token is kept in memory only.

| task | what it proves |
|---|---|
| `library` | `spotipy` is installed |
| `environment` | the credentials are set, and a redirect URI that Spotify takes |
| `token` | Spotify gives a token for these credentials |
| `read` | with it, an artist can be read (that there is no such artist proves it too) |

**When it is red**, its log says what to set where. Plays that Spotify is not asked for are lost
once a user has heard 50 more, so do not let credentials wait.

* *is not set*, *takes no redirect*: set `SPOTIFY_CLIENT_ID`, `SPOTIFY_CLIENT_SECRET` or
  `SPOTIFY_REDIRECT_URI` in the environment of Airflow's parts, or the connection
  `SongSwap_Spotify`, which wins where it is defined.
* *refused the app's credentials*: copy id and secret from Spotify's developer dashboard.
* *allows no more requests … until*: nothing to set; clear the task after that time.
* *does not let this app read*: look at the app in the dashboard.
* *cannot be reached*: open the way from the workers to Spotify.
"""

from datetime import UTC, datetime

from airflow.sdk import chain, dag, task

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import tried_once


@task
def run(step: str) -> None:
    """Run a step of the check."""
    from songswap.orchestration import checks

    checks.run("spotipy", step)


@dag(
    schedule="25 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["songswap", "sanity", "test"],
    doc_md=__doc__,
    default_args=tried_once(),
    **ALERTS,
)
def test_spotipy() -> None:
    """Whether the app's credentials open Spotify."""
    chain(
        *(run.override(task_id=step)(step) for step in ("library", "environment", "token", "read"))
    )


test_spotipy()
