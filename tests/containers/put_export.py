"""Put a listener's export into the bucket, with the pipeline's key: runs in a worker.

python put_export.py LISTENER KEY
"""

import os
import sys
from urllib.request import urlopen

from obstore.store import S3Store

from songswap.settings.airflow_connection import parse_connection

listener, key = sys.argv[1:]
simulator = os.environ["SPOTIFY_ACCOUNTS_URL"]
name = "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY"
login = parse_connection(name, os.environ[name])
with urlopen(f"{simulator}/admin/listeners/{listener}/export") as response:  # noqa: S310  (ours)
    export = response.read()
S3Store(
    os.environ["AIRFLOW_VAR_BUCKET_NAME"],
    endpoint="http://demo-s3:9010",
    region="us-east-1",
    access_key_id=login.login,
    secret_access_key=login.password,
    client_options={"allow_http": True},
    virtual_hosted_style_request=False,
).put(key, export)
