"""Holds our reading of S3 connections against Airflow's provider; run in a process of Airflow.

    hold_s3_connections.py RESULT_FILE < texts.json

The result has, for each text, what the provider's hook would tell boto3, and what is told to the
archive's client; the sentence, where that is refused.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from airflow.sdk import Connection

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.s3_connection import access_of


def by_the_provider(text: str) -> dict[str, Any]:
    """What boto3 would be told."""
    parse = Connection.from_json if text.startswith("{") else Connection.from_uri
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = AwsConnectionWrapper(parse(text, conn_id="x"))
    return {
        "access_key_id": told.aws_access_key_id,
        "secret_access_key": told.aws_secret_access_key,
        "session_token": told.aws_session_token,
        "region": told.region_name,
        "endpoint_url": told.get_service_endpoint_url("s3"),
        "verify": told.verify is not False,
        "role_arn": told.role_arn,
        "profile_name": told.profile_name,
    }


def by_us(text: str) -> dict[str, Any] | str:
    """What the archive's client is told."""
    try:
        told = access_of(parse_connection("NAME", text), "raw", "NAME")._asdict()
    except SettingsError as refused:
        return str(refused)
    del told["root_certificate"]
    return told | {"role_arn": None, "profile_name": None}


texts = json.load(sys.stdin)
result = {text: [by_the_provider(text), by_us(text)] for text in texts}
Path(sys.argv[1]).write_text(json.dumps(result))
