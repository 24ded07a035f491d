"""Addresses of services: https, but on this machine and where it is allowed by name."""

import pytest

from songswap.errors import SettingsError
from songswap.settings.addresses import checked, plain_hosts

NAMED = plain_hosts({"SONGSWAP_ALLOW_HTTP": " demo-s3, Demo-Simulator,[fd00::1] "})


@pytest.mark.parametrize(
    "address",
    [
        "https://api.spotify.com/v1",
        "https://minio.example:9000",
        "http://127.0.0.1:8010/v1",
        "http://127.200.3.4",
        "http://[::1]:8010",
        "http://localhost:9010",
        "http://demo-s3:9010",
        "http://demo-simulator:8010/v1",
        "http://[fd00::1]:9010",
    ],
)
def test_may_be_used(address: str) -> None:
    """It comes back without a slash at its end."""
    assert checked("NAME", f"{address}/", NAMED) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://api.spotify.com/v1",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://demo-s3.evil.example",
        "http://evil.example/127.0.0.1",
        "http://0.0.0.0:8010",
        "https://user:hush@api.spotify.com",
        "http://127.0.0.1@evil.example",
        "https://api.spotify.com/v1?hush",
        "https://api.spotify.com/#hush",
        "https://api.spotify.com/\n",
        "https://",
        "https://[hush",
        "https://host:hush",
        "ftp://127.0.0.1",
        "api.spotify.com",
        "127.0.0.1:9010",
        "",
    ],
)
def test_refused_address_names_the_setting_and_not_the_value(address: str) -> None:
    with pytest.raises(SettingsError, match=r"^NAME has to .*\.$") as refused:
        checked("NAME", address, NAMED)
    assert "hush" not in str(refused.value)
