"""Which ports the settings give the parts, as the demo and as `make` read them."""

import io

import pytest
from dotenv import dotenv_values

from songswap.dev.stack.plan import make_plan
from songswap.dev.stack.ports import Ports, read_dotenv
from songswap.supervision.errors import StartRefused


def test_set_ports_win() -> None:
    """The others keep their usual ones."""
    assert Ports.read({"SONGSWAP_S3_PORT": "9999"}) == Ports(s3=9999)


@pytest.mark.parametrize("text", ["0", "65536", "x", "-1", "8080.0", "²"])
def test_invalid_port_is_refused(text: str) -> None:
    """By the name of the setting."""
    with pytest.raises(StartRefused, match="SONGSWAP_AIRFLOW_PORT"):
        Ports.read({"SONGSWAP_AIRFLOW_PORT": text})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"SPOTIFY_CLIENT_ID": "id", "SPOTIFY_CLIENT_SECRET": "secret"},
        {
            "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": '{"conn_type": "aws"}',
            "AIRFLOW_VAR_BUCKET_NAME": "raw",
        },
    ],
)
def test_only_parts_that_are_started_need_a_port(settings: dict[str, str]) -> None:
    """The plan says the same."""
    plan = make_plan(settings)
    started = Ports().started(settings)
    assert started == plan.started_ports
    assert ("simulator" in started, "s3" in started) == (plan.simulated, plan.local_archive)


@pytest.mark.parametrize(
    "line",
    [
        "SONGSWAP_S3_PORT=9011",
        "export SONGSWAP_S3_PORT=9011",
        "  SONGSWAP_S3_PORT = 9011  ",
        "SONGSWAP_S3_PORT='9011'",
        'SONGSWAP_S3_PORT="9011" # ours',
        "SONGSWAP_S3_PORT=9011 # ours",
        "#SONGSWAP_S3_PORT=9011",
        "SONGSWAP_S3_PORT=",
        "SPOTIFY_CLIENT_ID=a b",
        "OTHER=1",
        'AIRFLOW_CONN_SONGSWAP_S3_PUTONLY=\'{"conn_type": "aws"}\'',
    ],
)
def test_a_dotenv_is_read_as_the_demo_reads_it(line: str) -> None:
    """As far as ports and the started parts go."""
    theirs = dotenv_values(stream=io_of(line), interpolate=False)
    wanted = {name: text for name, text in theirs.items() if name != "OTHER"}
    assert read_dotenv(f"A=1\n{line}\nB=2\n") == wanted


def io_of(line: str) -> io.StringIO:
    """A file with one line."""
    return io.StringIO(f"{line}\n")
