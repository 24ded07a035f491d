"""Compares how Airflow's provider and the archive read S3 connections; run by Airflow.

    hold_s3_connections.py RESULT_FILE < texts.json

The result has, for each text, what the provider's hook would pass to boto3, and what the archive's
client gets, or the message of its refusal.
"""

import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.sdk import Connection

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.s3_connection import parse_archive


def by_the_provider(text: str) -> dict[str, Any]:
    """Return what boto3 would get."""
    parse = Connection.from_json if text.startswith("{") else Connection.from_uri
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = AwsConnectionWrapper(parse(text, conn_id="x"))
    return {
        "access_key_id": read.aws_access_key_id,
        "secret_access_key": read.aws_secret_access_key,
        "session_token": read.aws_session_token,
        "region": read.region_name,
        "endpoint_url": read.get_service_endpoint_url("s3"),
        "verify": read.verify is not False,
        "role_arn": read.role_arn,
        "profile_name": read.profile_name,
    }


def by_us(text: str) -> dict[str, Any] | str:
    """Return what the archive's client gets."""
    try:
        read = asdict(parse_archive(parse_connection("NAME", text), "raw", "NAME"))
    except SettingsError as refused:
        return str(refused)
    del read["root_certificate"], read["bucket"]
    return read | {"role_arn": None, "profile_name": None}


texts = json.load(sys.stdin)
result = {text: [by_the_provider(text), by_us(text)] for text in texts}
Path(sys.argv[1]).write_text(json.dumps(result))
