"""The command line: each command reads arguments, calls a use case and prints its result."""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from dotenv import load_dotenv

from songswap import __version__
from songswap.cli.backfill import backfill
from songswap.cli.check import check
from songswap.cli.command import InOrder, WithSettings, examples
from songswap.cli.connect import connect
from songswap.cli.dags import dags
from songswap.cli.demo import demo
from songswap.cli.deployment import deployment
from songswap.cli.drain import drain
from songswap.cli.erase import erase
from songswap.cli.export import export
from songswap.cli.grants import grants
from songswap.cli.import_ import import_
from songswap.cli.load import load
from songswap.cli.maintenance import maintenance
from songswap.cli.migrate import migrate
from songswap.cli.replay import replay
from songswap.cli.spark import spark
from songswap.cli.spool import spool
from songswap.cli.spool_hosts import forget, hosts
from songswap.cli.status import status
from songswap.dev.simulator.command import simulator
from songswap.errors import SettingsError, SongSwapError
from songswap.supervision.errors import StackError
from songswap.supervision.interrupt import own_signals
from songswap.terminal.console import complain, err, print_any_text

app = typer.Typer(
    cls=InOrder,
    epilog=examples("demo", "status"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command(epilog=examples("simulator --users 100 --port 8010"))(simulator)
app.command(cls=WithSettings, epilog=examples("check", "check postgres s3", "check --fresh 90m"))(
    check
)
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
app.command(
    cls=WithSettings, epilog=examples("export 12", "export 12 --to /srv/handover/anna.zip --force")
)(export)
app.command(
    cls=WithSettings,
    epilog=examples("erase 12 --dry-run", "erase 12", "erase 12 --receipts", "erase --due"),
)(erase)
app.command(epilog=examples("dags", "dags --bundles"))(dags)
app.command(epilog=examples("deployment songswap-deployment"))(deployment)
app.command(cls=WithSettings, epilog=examples("load"))(load)
app.command(cls=WithSettings, epilog=examples("drain", "drain --every 10"))(drain)
app.command(
    cls=WithSettings,
    epilog=examples("maintenance --dry-run", "maintenance --logs /opt/airflow/logs"),
)(maintenance)
app.command(cls=WithSettings, epilog=examples("migrate --wait-s 60"))(migrate)
app.command(epilog=examples("demo", "demo --once --users 200"))(demo)
spool.command(cls=WithSettings, epilog=examples("spool hosts --json"))(hosts)
spool.command(cls=WithSettings, epilog=examples("spool forget worker-2"))(forget)
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
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Every user's listening history, complete and right, every hour."""


def _load_settings_file() -> None:
    """Add the settings in ``.env`` to the environment, whose own win.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        load_dotenv(Path(".env"), interpolate=False)
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The file .env is not in UTF-8 (byte {error.start}). Nothing was done: save it in"
            " UTF-8, or set its settings in the environment."
        ) from None  # its text quotes the file
    except OSError as error:
        raise SettingsError(f"The file .env cannot be read ({error.strerror}).") from error


def main() -> None:
    """Run the command line; expected errors become a sentence and exit code 1."""
    own_signals()
    print_any_text()
    try:
        _load_settings_file()
        # Outside standalone mode errors are printed below, which escapes texts from outside.
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
    except Exception:  # noqa: BLE001 - shown in full, but escaped
        err.say(traceback.format_exc())
        complain("This is a bug in songswap. The command can be started again.")
        sys.exit(1)


def _explain_usage(error: typer.TyperException) -> None:
    """Print what is wrong with the arguments; nothing if the help was printed instead."""
    context: typer.Context | None = getattr(error, "ctx", None)
    if not (message := error.format_message()):
        return
    if context is not None:
        err.say(f"{context.get_usage()}\nTry '{context.command_path} --help'.\n")
    complain(message)


if __name__ == "__main__":
    main()
