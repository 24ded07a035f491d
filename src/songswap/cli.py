"""The command line: reads arguments, calls a use case, prints what came of it."""

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from songswap import __version__
from songswap.backfill_command import backfill
from songswap.check_command import check
from songswap.command import InOrder, WithSettings, examples
from songswap.connect_command import connect
from songswap.dags_command import dags
from songswap.deployment_command import deployment
from songswap.errors import SongSwapError, WarehouseUnavailable
from songswap.grants_command import grants
from songswap.import_command import import_
from songswap.local.errors import StackError
from songswap.local.interrupt import own_signals
from songswap.replay_command import replay
from songswap.simulator.command import simulator
from songswap.spark_command import spark
from songswap.spool_command import spool
from songswap.status_command import status
from songswap.terminal import (
    JsonOption,
    Rows,
    Steps,
    complain,
    err,
    log_to_stderr,
    out,
    print_any_text,
    print_json,
)

app = typer.Typer(
    cls=InOrder,
    epilog=examples("demo", "status"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command(epilog=examples("simulator --users 100 --port 8010"))(simulator)
app.command(cls=WithSettings, epilog=examples("check", "check postgres s3"))(check)
app.command(
    cls=WithSettings, epilog=examples("backfill --dry-run", "backfill --kind features --at-most 50")
)(backfill)
app.command(
    cls=WithSettings, epilog=examples("replay --user 12 --from 2026-11-01 --to 2026-11-08T12")
)(replay)
app.command(cls=WithSettings, epilog=examples("status", "status --json"))(status)
app.command(
    cls=WithSettings, epilog=examples("grants", "grants --state expired --state revoked --long")
)(grants)
app.command(cls=WithSettings, epilog=examples("connect", "connect --no-browser --port 8889"))(
    connect
)
app.command(
    name="import",
    cls=WithSettings,
    epilog=examples("import my_spotify_data.zip --user 12", "import s3://my-bucket/exports/"),
)(import_)
app.command(epilog=examples("dags", "dags --bundles"))(dags)
app.command(epilog=examples("deployment songswap-deployment"))(deployment)
app.add_typer(spool, name="spool", epilog=examples("spool list"))
app.add_typer(spark, name="spark", epilog=examples("spark up"))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """Every user's listening history, complete and right, every hour."""


@app.command(cls=WithSettings, epilog=examples("load"))
def load(
    run_id: Annotated[
        str, typer.Option(help="The id of the run; an id that was used before goes on with it.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Do one hourly load of all users, in this process and without Airflow.

    Reads the settings from the environment, see .env.example. Exits with 1 when a part of the load
    failed; what was answered is then kept in the spool, and the next load brings it in.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    from songswap import ingest, run_counts, settings
    from songswap.local.interrupt import stoppable
    from songswap.spotify.client import utc_now

    log_to_stderr()
    read = settings.from_environment(os.environ)
    with Steps(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), in_turn=True) as told:
        name = run_id or f"cli__{utc_now():%Y-%m-%dT%H:%M:%S.%f%z}"
        # SIGTERM too lets the load bring to its end what is under way, and end its row.
        with stoppable():
            counts = ingest.load_once(read, name, told)
    if as_json:
        print_json({"run_id": name, **run_counts.as_json(counts)})
        return
    table = Rows("what", "number", title="What was loaded")
    for what, count in counts.items():
        table.add_row(what.replace("_", " "), f"{count:,}")
    out.print(table)


@app.command(cls=WithSettings, epilog=examples("migrate --wait-s 60"))
def migrate(
    to: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Take the schema back to this version, for an earlier songswap; what this one"
            " needs if left out.",
        ),
    ] = "",
    wait_s: Annotated[
        float, typer.Option(min=0, help="Try for so long while it cannot be connected to.")
    ] = 0,
    with_indexes: Annotated[
        bool,
        typer.Option(
            "--indexes",
            help="Then build the indexes that the platform's reads need on tables of the web app,"
            " while others read and write them.",
        ),
    ] = False,
) -> None:
    """Create the tables that are missing in the warehouse, and bring ours up to date.

    Reads AIRFLOW_CONN_SONGSWAP_RDS. Tables that the web app has made are left as they are.
    """
    from songswap import settings
    from songswap.warehouse import indexes
    from songswap.warehouse.migrate import VERSION
    from songswap.warehouse.migrate import migrate as bring_up_to_date

    dsn = settings.warehouse_dsn(os.environ)
    until, said = time.monotonic() + wait_s, ""
    while True:
        try:
            migrated = bring_up_to_date(dsn, to or VERSION)
            break
        except WarehouseUnavailable as error:
            if time.monotonic() >= until:
                raise
            if str(error) != said:
                said = str(error)
                err.say(f"{said} Trying again for up to {wait_s:g} s.")
            time.sleep(1)
    err.say(
        f"The warehouse's schema is at version {to or VERSION}. The platform's tables are those in"
        f" schema {migrated.platform}."
    )
    if migrated.advice:
        err.print(migrated.advice, markup=False)
    if with_indexes:
        indexes.build(dsn, lambda sentence: err.print(sentence, markup=False, highlight=False))


@app.command(epilog=examples("demo", "demo --once --users 200"))
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the first run; exit 1 if that failed.")
    ] = False,
    users: Annotated[int, typer.Option(min=1, max=100_000, help="Simulated listeners.")] = 25,
    seed: Annotated[int, typer.Option(help="Decides who listens to what, and when.")] = 1,
    state: Annotated[
        Path, typer.Option(envvar="SONGSWAP_STATE", help="The folder that keeps everything.")
    ] = Path(".songswap"),
    as_json: JsonOption = False,
) -> None:
    """Run everything on this machine: PostgreSQL, S3, a simulated Spotify, Airflow.

    Loads every listener's plays once, shows what arrived, and goes on each hour until Ctrl-C. What
    is set in the environment or in .env is used instead of its local counterpart.
    """
    from songswap.local.progress import Progress

    # Before what follows is imported: that takes seconds on a busy machine.
    Progress(err).say("Starting all parts, which takes about a minute. Ctrl-C stops them.")
    from songswap.local.demo import DemoOptions
    from songswap.local.demo import demo as run_demo

    raise typer.Exit(
        run_demo(DemoOptions(once=once, users=users, seed=seed, json=as_json, state=state))
    )


def main() -> None:
    """The entry point: what is expected to go wrong becomes a sentence and exit code 1.

    What ``.env`` in the working folder sets counts as the environment, where that does not say
    otherwise.
    """
    own_signals()
    print_any_text()
    load_dotenv(Path(".env"), interpolate=False)
    try:
        # What typer itself would print of an error is not made for texts from outside.
        sys.exit(app(standalone_mode=False) or 0)
    except SongSwapError as error:
        complain(error)
        sys.exit(error.exit_code if isinstance(error, StackError) else 1)
    except typer.TyperException as error:
        _explain_usage(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        err.say("Nothing was done.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - shown whole, but as text: Python prints its message as it is
        err.say(traceback.format_exc())
        complain("This is a mistake of songswap's own. What was under way can be started again.")
        sys.exit(1)


def _explain_usage(error: typer.TyperException) -> None:
    """Print what is wrong with the arguments; nothing where the help was printed instead."""
    context: typer.Context | None = getattr(error, "ctx", None)
    if not (message := error.format_message()):
        return
    if context is not None:
        err.say(f"{context.get_usage()}\nTry '{context.command_path} --help'.\n")
    complain(message)


if __name__ == "__main__":
    main()
