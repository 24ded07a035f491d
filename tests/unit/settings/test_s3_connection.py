"""Connections to S3: what is done as Airflow's provider does it, and what is refused by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from songswap.errors import SettingsError
from songswap.settings import archive_of
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.s3_connection import Archive, parse_archive

NOTHING = Archive("raw")
KEY = {"login": "id", "password": "hush-1"}


def read(**parts: Any) -> Archive:
    """What a connection with these fields says of the bucket ``raw``."""
    return parse_archive(parse_connection("NAME", json.dumps(parts)), "raw", "NAME")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, {}),
        ({"conn_type": "aws", "schema": "raw"}, {}),
        (KEY, {"access_key_id": "id", "secret_access_key": "hush-1"}),
        (
            {"extra": {"aws_access_key_id": "a", "aws_secret_access_key": "b"}},
            {"access_key_id": "a", "secret_access_key": "b"},
        ),
        (
            KEY | {"extra": {"aws_access_key_id": "a", "aws_secret_access_key": "b"}},
            {"access_key_id": "id", "secret_access_key": "hush-1"},
        ),
        (
            {
                "extra": {
                    "session_kwargs": {
                        "aws_access_key_id": "a",
                        "aws_secret_access_key": "b",
                        "aws_session_token": "c",
                    }
                }
            },
            {"access_key_id": "a", "secret_access_key": "b", "session_token": "c"},
        ),
        (
            KEY | {"extra": {"aws_session_token": "t"}},
            {"access_key_id": "id", "secret_access_key": "hush-1", "session_token": "t"},
        ),
        ({"extra": {"region_name": "eu-west-1"}}, {"region": "eu-west-1"}),
        ({"extra": {"endpoint_url": "https://s"}}, {"endpoint_url": "https://s"}),
        (
            {
                "extra": {
                    "endpoint_url": "https://all",
                    "service_config": {
                        "s3": {"endpoint_url": "https://s3", "bucket_name": "raw"},
                        "sts": {"endpoint_url": "https://sts"},
                    },
                }
            },
            {"endpoint_url": "https://s3"},
        ),
        ({"extra": {"verify": True}}, {}),
        ({"extra": {"verify": False}}, {"verify": False}),
        ({"extra": {"role_arn": "", "profile_name": None, "session_kwargs": {}}}, {}),
        (
            {"extra": {"config_kwargs": {"signature_version": "s3v4", "s3": {}}}},
            {},
        ),
        (
            {
                "extra": {
                    "endpoint_url": "https://s",
                    "config_kwargs": {"s3": {"addressing_style": "path"}},
                }
            },
            {"endpoint_url": "https://s"},
        ),
    ],
)
def test_supported_settings_are_read(parts: dict[str, Any], expected: dict[str, Any]) -> None:
    """A key, a session token, a region, an endpoint and certificates."""
    assert read(**parts) == replace(NOTHING, **expected)


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"extra": {"role_arn": "arn:hush"}}, "role or a profile .role_arn"),
        (
            {"extra": {"role_arn": "arn:hush", "assume_role_method": "assume_role"}},
            "assume_role_method, role_arn",
        ),
        *(
            ({"extra": {name: "hush"}}, f"role or a profile .{name}")
            for name in ("profile_name", "external_id", "aws_iam_role", "s3_config_file")
        ),
        ({"host": "hush.example", "port": 9000}, "host, which .* endpoint_url"),
        ({"extra": {"host": "https://hush"}}, "host, which .* endpoint_url"),
        ({"schema": "hush"}, "another bucket .*schema"),
        ({"extra": {"service_config": {"s3": {"bucket_name": "hush"}}}}, "another bucket"),
        ({"extra": {"service_config": {"s3": {"extra_args": {}}}}}, "service_config.s3.extra_args"),
        ({"extra": {"service_config": {"s3": "hush"}}}, "service_config.s3 in .* not an object"),
        ({"extra": {"service_config": "hush"}}, "service_config in .* not a JSON object"),
        ({"extra": {"session_kwargs": {"profile_name": "hush"}}}, "session_kwargs.profile_name"),
        ({"extra": {"session_kwargs": {"region_name": "hush"}}}, "session_kwargs.region_name"),
        ({"extra": {"config_kwargs": {"proxies": {"https": "hush"}}}}, "config_kwargs.proxies"),
        ({"extra": {"config_kwargs": {"retries": {}}}}, "config_kwargs.retries"),
        ({"extra": {"config_kwargs": {"signature_version": "unsigned"}}}, "signature_version"),
        ({"extra": {"config_kwargs": {"s3": {"addressing_style": "path"}}}}, "config_kwargs.s3"),
        ({"extra": {"config_kwargs": {"s3": {"use_accelerate_endpoint": 1}}}}, "config_kwargs.s3"),
        ({"extra": {"verify": "/no/hush"}}, "verify .* file of certificates"),
        ({"extra": {"verify": ""}}, "verify .* file of certificates"),
        ({"extra": {"endpont_url": "https://hush"}}, ": endpont_url[.]"),
        ({"extra": {"extra__aws__region_name": "hush"}}, "extra__aws__region_name"),
        ({"extra": {"hush it": 1}}, "other characters than letters"),
        ({"login": "hush"}, "half of a key"),
        ({"password": "hush"}, "half of a key"),
        ({"extra": {"aws_secret_access_key": "hush"}}, "half of a key"),
        ({"extra": {"aws_session_token": "hush"}}, "session token .* without a key"),
        ({"login": "a", "password": "hush\n"}, "characters in its key"),
        ({"login": "a", "password": "hüsh"}, "characters in its key"),
    ],
)
def test_unsupported_setting_is_refused_without_its_value(
    parts: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as refused:
        read(**parts)
    assert "NAME" in str(refused.value)
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_certificate_file_is_read_into_the_settings(tmp_path: Path) -> None:
    """So it goes wherever they go."""
    content = b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
    (tmp_path / "ca.pem").write_bytes(content)
    assert read(extra={"verify": str(tmp_path / "ca.pem")}).root_certificate == content
    (tmp_path / "none.pem").write_bytes(b"hush")
    with pytest.raises(SettingsError, match="file of certificates"):
        read(extra={"verify": str(tmp_path / "none.pem")})


def test_endpoint_of_service_config_needs_tls_too() -> None:
    for extra in (
        {"endpoint_url": "http://s.example"},
        {"service_config": {"s3": {"endpoint_url": "http://s.example"}}},
    ):
        connection = parse_connection("NAME", json.dumps({"extra": extra}))
        with pytest.raises(SettingsError, match=r"endpoint_url in the extra of NAME .* https"):
            archive_of(connection, "raw", {}, "NAME")
        named = {"SONGSWAP_ALLOW_HTTP": "s.example"}
        assert archive_of(connection, "raw", named, "NAME").endpoint_url == "http://s.example"
