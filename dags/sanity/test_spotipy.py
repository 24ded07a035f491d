"""
### Check that the app's credentials open Spotify

Runs daily and on demand. Gets a token for the app itself with spotipy, and reads one artist. It
uses no user's token, and holds its own only in memory.

| task | what it checks |
|---|---|
| `library` | `spotipy` is installed |
| `environment` | the credentials are set, and a redirect URI that Spotify accepts |
| `token` | Spotify issues a token for these credentials |
| `read` | an artist can be read with it (a 404 for the artist passes too) |

**When it is red**, the log says what to set where. Fix it soon: without credentials no user is
polled, and plays are lost once a user has heard 50 more.

* *is not set*, *takes no redirect*: set `SPOTIFY_CLIENT_ID`, `SPOTIFY_CLIENT_SECRET` or
  `SPOTIFY_REDIRECT_URI` in the environment of Airflow's parts, or the connection
  `SongSwap_Spotify`, which wins where it is defined.
* *refused the app's credentials*: copy id and secret from Spotify's developer dashboard.
* *allows no more requests … until*: nothing to set; clear the task after that time.
* *does not let this app read*: look at the app in the dashboard.
* *cannot be reached*: open the route from the workers to Spotify.
"""

from airflow.sdk import chain, dag

from songswap.orchestration.dag_defaults import TEST_DAG, described
from songswap.orchestration.sanity import check_tasks


@dag(
    schedule="25 4 * * *",
    tags=["songswap", "daily", "sanity", "test"],
    **described(__doc__),
    **TEST_DAG,
)
def test_spotipy() -> None:
    """Check that the app's credentials open Spotify."""
    chain(*check_tasks("spotipy", "library", "environment", "token", "read"))


test_spotipy()
