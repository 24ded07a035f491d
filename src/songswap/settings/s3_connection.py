"""Airflow's connection to S3 → what the archive's client is told, or a sentence on what it may not.

Read as Airflow's Amazon provider reads it (``AwsConnectionWrapper``, 9.39), as far as it is about a
key and an address. What the provider has a use for and songswap has none is refused by its name:
whoever set it would be given other rights, or another bucket, than was meant.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
"""Extras by which the provider gets a key from somewhere else."""

_KEY = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_KNOWN = {*_KEY, "region_name", "endpoint_url", "verify", "service_config", "session_kwargs"}


class Access(NamedTuple):
    """What an S3 connection says; None where it says nothing, and AWS's own defaults hold.

    ``root_certificate`` (PEM) is trusted beside the system's own; without ``verify`` any is.
    """

    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    region: str | None
    endpoint_url: str | None
    root_certificate: bytes | None
    verify: bool


def access_of(connection: Connection, bucket: str, name: str) -> Access:
    """What an S3 connection says.

    Args:
        bucket: the one that is used; the connection may name no other.
        name: what an error calls the connection.

    Raises:
        SettingsError: it asks for what songswap does not do, or for what nobody knows; the text
            names that, and tells no value.
    """
    extra = {option: text for option, text in connection.extra.items() if text}
    roles = sorted(extra.keys() & _ROLES)
    if roles:
        raise SettingsError(
            f"{name} asks for a role or a profile ({', '.join(roles)} in its extra), which songswap"
            " does not take. Give it a key of its own (login and password); or leave both and these"
            " extras out, and give the role to the machine or the container."
        )
    if connection.host or connection.port or "host" in extra:
        raise SettingsError(
            f"{name} has a host, which Airflow's Amazon provider does not read. Write the address"
            " as endpoint_url into its extra; for AWS itself, remove it."
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
    return Access(
        *_key(connection, extra, session, name),
        region=extra.get("region_name"),
        endpoint_url=service.get("endpoint_url") or extra.get("endpoint_url"),
        root_certificate=root_certificate,
        verify=verify,
    )


def _key(
    connection: Connection, extra: Mapping[str, str], session: Mapping[str, Any], name: str
) -> tuple[str | None, str | None, str | None]:
    """The key's id, its secret, and its session's token, in the provider's order."""
    id_, secret, token = _KEY
    pairs = (
        (connection.login, connection.password),
        (extra.get(id_), extra.get(secret)),
        (session.get(id_), session.get(secret)),
    )
    given = [pair for pair in pairs if any(pair)]
    for pair in given:
        if not all(isinstance(part, str) and part for part in pair):
            raise SettingsError(
                f"{name} has half of a key: it takes its id (login) and its secret (password),"
                " or neither."
            )
    key_id, key_secret = given[0] if given else (None, None)
    session_token = extra.get(token) or session.get(token)
    if session_token and not given:
        raise SettingsError(f"{name} has a session token (aws_session_token) without a key.")
    for part in (key_id, key_secret, session_token):
        if part and not (isinstance(part, str) and part.isascii() and part.isprintable()):
            raise SettingsError(
                f"{name} has characters in its key that are in none: copy login and password again."
            )
    return key_id, key_secret, session_token


def _of_s3(extra: Mapping[str, str], bucket: str, name: str) -> Mapping[str, Any]:
    """What ``service_config`` says of S3; what it says of other services is for others."""
    of_all = _object(extra, "service_config", name)
    service = of_all.get("s3") or {}
    if not isinstance(service, Mapping):
        raise SettingsError(f"service_config.s3 in the extra of {name} is not an object.")
    if others := sorted(service.keys() - {"endpoint_url", "bucket_name"}):
        raise _unknown([f"service_config.s3.{safe_name(other)}" for other in others], name)
    if service.get("bucket_name", bucket) != bucket:
        raise _other_bucket("service_config.s3.bucket_name", name)
    if not isinstance(service.get("endpoint_url") or "", str):
        raise SettingsError(f"service_config.s3.endpoint_url of {name} is not a text.")
    return service


def _check_config(config: Mapping[str, Any], has_endpoint: bool, name: str) -> None:
    """Raise SettingsError for what of botocore's configuration would be done otherwise here."""
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
            f"{name} has {', '.join(sorted(refused))} in its extra, which songswap does not do:"
            " remove it. It signs with version 4, names the bucket in the host at AWS and in the"
            " path elsewhere, and has its own timeouts and retries."
        )


def _verification(told: str | None, name: str) -> tuple[bytes | None, bool]:
    """The certificates to trust beside the system's, and whether certificates count at all."""
    if told is None or told.lower() == "true":
        return None, True
    if told.lower() == "false":
        return None, False
    try:
        content = Path(told).read_bytes()
    except (OSError, ValueError):
        content = b""
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise SettingsError(
            f"verify in the extra of {name} has to be true, false, or a file of certificates (PEM)"
            " that can be read here."
        )
    return content, True


def _object(extra: Mapping[str, str], option: str, name: str) -> Mapping[str, Any]:
    """An extra that is an object itself."""
    try:
        told = json.loads(extra.get(option, "{}"))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        raise SettingsError(f"{option} in the extra of {name} is not an object of JSON.")
    return told


def _unknown(options: list[str], name: str) -> SettingsError:
    shown = (
        option if option.startswith(("session_kwargs.", "service_config.")) else safe_name(option)
        for option in options
    )
    return SettingsError(
        f"{name} has in its extra what songswap does not know: {', '.join(shown)}. Correct or"
        f" remove it; it knows {', '.join(sorted(_KNOWN - {'session_kwargs'}))}."
    )


def _other_bucket(where: str, name: str) -> SettingsError:
    return SettingsError(
        f"{name} names another bucket ({where}) than the variable bucket_name, which alone says"
        " what the bucket is. Remove it."
    )
