"""Airflow's connection to S3 → the archive's key and address.

Parsed as Airflow's Amazon provider does (``AwsConnectionWrapper``, 9.39). Options of the provider
that songswap does not support are refused by name: ignoring them would give other rights, or
another bucket, than the user meant.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import Connection, safe_name

_ROLES = {
    *("role_arn", "assume_role_method", "assume_role_kwargs", "external_id"),
    *("assume_role_with_saml", "assume_role_with_web_identity_federation"),
    "assume_role_with_web_identity_federation_audience",
    "assume_role_with_web_identity_token_file",
    *("aws_account_id", "aws_iam_role"),
    *("profile_name", "profile", "s3_config_file", "s3_config_format"),
}
"""Extras with which the provider gets a key from elsewhere."""

_KEY = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_KNOWN = {*_KEY, "region_name", "endpoint_url", "verify", "service_config", "session_kwargs"}


@dataclass(frozen=True, slots=True)
class Archive:
    """The bucket of raw responses; AWS's defaults replace a missing endpoint and key.

    ``root_certificate`` (PEM) is trusted beside the system's own; without ``verify`` any is.
    """

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    root_certificate: bytes | None = field(default=None, repr=False)
    verify: bool = True


def parse_archive(connection: Connection, bucket: str, name: str) -> Archive:
    """Parse an S3 connection.

    Args:
        bucket: the bucket of the settings; the connection may name no other.
        name: the connection's name in errors.

    Raises:
        SettingsError: an option is unknown or not supported; the text has its name but no value.
    """
    extra = {option: text for option, text in connection.extra.items() if text}
    roles = sorted(extra.keys() & _ROLES)
    if roles:
        raise SettingsError(
            f"{name} names a role or a profile ({', '.join(roles)} in its extra), which songswap"
            " does not support. Give it a key of its own (login and password); or remove both and"
            " these extras, and give the role to the machine or the container."
        )
    if connection.host or connection.port or "host" in extra:
        raise SettingsError(
            f"{name} has a host, which Airflow's Amazon provider ignores. Move the address to"
            " endpoint_url in its extra; for AWS itself, remove it."
        )
    _check_config(_object(extra, "config_kwargs", name), "endpoint_url" in extra, name)
    unknown = sorted(connection.extra.keys() - _KNOWN - _ROLES - {"config_kwargs", "host"})
    if unknown:
        raise _unknown(unknown, name)
    session = _object(extra, "session_kwargs", name)
    if others := sorted(session.keys() - set(_KEY)):
        raise _unknown([f"session_kwargs.{safe_name(other)}" for other in others], name)
    service = _of_s3(extra, bucket, name)
    if connection.schema not in ("", bucket):
        raise _other_bucket("its field schema", name)
    root_certificate, verify = _verification(connection.extra.get("verify"), name)
    key_id, secret, token = _key(connection, extra, session, name)
    return Archive(
        bucket,
        endpoint_url=service.get("endpoint_url") or extra.get("endpoint_url"),
        region=extra.get("region_name"),
        access_key_id=key_id,
        secret_access_key=secret,
        session_token=token,
        root_certificate=root_certificate,
        verify=verify,
    )


def _key(
    connection: Connection, extra: Mapping[str, str], session: Mapping[str, Any], name: str
) -> tuple[str | None, str | None, str | None]:
    """The key's id, secret and session token, looked up in the provider's order."""
    id_, secret, token = _KEY
    pairs = (
        (connection.login, connection.password),
        (extra.get(id_), extra.get(secret)),
        (session.get(id_), session.get(secret)),
    )
    present = [pair for pair in pairs if any(pair)]
    for pair in present:
        if not all(isinstance(part, str) and part for part in pair):
            raise SettingsError(
                f"{name} has half of a key: set both its id (login) and its secret (password),"
                " or neither."
            )
    key_id, key_secret = present[0] if present else (None, None)
    session_token = extra.get(token) or session.get(token)
    if session_token and not present:
        raise SettingsError(f"{name} has a session token (aws_session_token) without a key.")
    for part in (key_id, key_secret, session_token):
        if part and not (isinstance(part, str) and part.isascii() and part.isprintable()):
            raise SettingsError(
                f"{name} has invalid characters in its key: copy login and password again."
            )
    return key_id, key_secret, session_token


def _of_s3(extra: Mapping[str, str], bucket: str, name: str) -> Mapping[str, Any]:
    """The part of ``service_config`` about S3."""
    of_all = _object(extra, "service_config", name)
    service = of_all.get("s3") or {}
    if not isinstance(service, Mapping):
        raise SettingsError(f"service_config.s3 in the extra of {name} is not an object.")
    if others := sorted(service.keys() - {"endpoint_url", "bucket_name"}):
        raise _unknown([f"service_config.s3.{safe_name(other)}" for other in others], name)
    if service.get("bucket_name", bucket) != bucket:
        raise _other_bucket("service_config.s3.bucket_name", name)
    if not isinstance(service.get("endpoint_url") or "", str):
        raise SettingsError(f"service_config.s3.endpoint_url of {name} is not a string.")
    return service


def _check_config(config: Mapping[str, Any], has_endpoint: bool, name: str) -> None:
    """Raise SettingsError for options of botocore that songswap would not follow."""
    usual = {"auto", None, "path" if has_endpoint else "virtual"}
    of_s3 = config.get("s3") or {}
    styles = isinstance(of_s3, Mapping) and of_s3.keys() <= {"addressing_style"}
    ok = {
        "signature_version": config.get("signature_version") in ("s3v4", "v4", None),
        "s3": styles and of_s3.get("addressing_style") in usual,
    }
    refused = [f"config_kwargs.{safe_name(option)}" for option in config if not ok.get(option)]
    if refused:
        raise SettingsError(
            f"{name} has {', '.join(sorted(refused))} in its extra, which songswap does not"
            " support: remove it. songswap signs with version 4, names the bucket in the host at"
            " AWS and in the path elsewhere, and has its own timeouts and retries."
        )


def _verification(verify: str | None, name: str) -> tuple[bytes | None, bool]:
    """The certificates to trust beside the system's, and whether certificates are verified."""
    if verify is None or verify.lower() == "true":
        return None, True
    if verify.lower() == "false":
        return None, False
    try:
        content = Path(verify).read_bytes()
    except (OSError, ValueError):
        content = b""
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise SettingsError(
            f"verify in the extra of {name} has to be true, false, or a readable file of"
            " certificates (PEM)."
        )
    return content, True


def _object(extra: Mapping[str, str], option: str, name: str) -> Mapping[str, Any]:
    """Decode an extra that is a JSON object itself."""
    try:
        value = json.loads(extra.get(option, "{}"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, Mapping):
        raise SettingsError(f"{option} in the extra of {name} is not a JSON object.")
    return value


def _unknown(options: list[str], name: str) -> SettingsError:
    shown = (
        option if option.startswith(("session_kwargs.", "service_config.")) else safe_name(option)
        for option in options
    )
    return SettingsError(
        f"{name} has unknown options in its extra: {', '.join(shown)}. Correct or remove them;"
        f" songswap knows {', '.join(sorted(_KNOWN - {'session_kwargs'}))}."
    )


def _other_bucket(where: str, name: str) -> SettingsError:
    return SettingsError(
        f"{name} names another bucket ({where}) than the variable bucket_name, which alone counts."
        " Remove it."
    )
