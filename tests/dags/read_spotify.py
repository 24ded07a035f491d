"""Reads Spotify's credentials as Airflow's tasks do; run in a process of Airflow.

    read_spotify.py RESULT_FILE < texts.json

The texts are connections in a secrets backend (a file), with the id ``SongSwap_Spotify``; None is
no connection. The result has the app's id, its secret and the address of the Web API for each of
them, with other credentials in the environment.
"""

import json
import os
import sys
from pathlib import Path

from airflow.sdk.configuration import conf

from songswap.orchestration.connections import read_settings

os.environ.update(
    AIRFLOW_CONN_SONGSWAP_RDS="postgres://h/d",
    AIRFLOW_CONN_SONGSWAP_S3_PUTONLY="aws://",
    AIRFLOW_VAR_BUCKET_NAME="raw",
    SPOTIFY_CLIENT_ID="of the environment",
    SPOTIFY_CLIENT_SECRET="secret of the environment",
    SONGSWAP_SPOOL="spool",
)
file = Path(os.environ["AIRFLOW_HOME"]) / "connections.json"
conf.set("secrets", "backend", "airflow.secrets.local_filesystem.LocalFilesystemBackend")
conf.set("secrets", "backend_kwargs", json.dumps({"connections_file_path": str(file)}))
results = []
for text in json.load(sys.stdin):
    file.write_text(json.dumps({"SongSwap_Spotify": text} if text else {}))
    spotify = read_settings().spotify
    results.append([spotify.client_id, spotify.client_secret, spotify.api_url])
Path(sys.argv[1]).write_text(json.dumps(results))
