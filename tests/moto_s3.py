"""An S3 endpoint with versions, lifecycle policies, legal holds and rights: moto's server."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3  # type: ignore[import-untyped]  # it has no types

from songswap.dev.stack.object_store import REGION
from songswap.settings import Archive
from songswap.supervision.process import Process

_numbers = itertools.count(1)


class MotoS3:
    """The server as a child process, its log in ``folder``. Any key may do all, see `limit`."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
        self._process = Process("moto", command, log=folder / "moto.log", mark=folder)
        self._keys = ("anybody", "secret")

    def start(self) -> None:
        """Start it on a free port."""
        self._process.start()
        self._process.wait_ready(lambda: "Running on http" in self._process.output(), 60)
        found = self._process.output().partition("Running on ")[2]
        self.url = found.split()[0]
        self.s3 = self._client("s3")

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def bucket(self, name: str, *versioning: str, **options: Any) -> Archive:
        """Make a bucket, with the states of its versioning in turn."""
        self.s3.create_bucket(Bucket=name, **options)
        for state in versioning:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": state})
        return Archive(name, self.url, REGION, *self._keys)

    def limit(self, *statements: dict[str, Any]) -> tuple[str, str]:
        """From now on every request needs a right; return a key that has these alone.

        moto takes the bucket, not the objects, for the resource of a request that deletes several.
        """
        admin, limited = self.add_key(allow("*"), name="admin"), self.add_key(*statements)
        plain = {"Content-Type": "text/plain"}
        switch = Request(f"{self.url}/moto-api/reset-auth", b"0", plain)  # noqa: S310
        urlopen(switch, timeout=30).close()  # noqa: S310
        self._keys = admin
        self.s3 = self._client("s3")
        return limited

    def add_key(self, *statements: dict[str, Any], name: str = "") -> tuple[str, str]:
        """Make a key that has these rights."""
        iam, name = self._client("iam"), name or f"user-{next(_numbers)}"
        iam.create_user(UserName=name)
        policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="its", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def _client(self, service: str) -> Any:
        key, secret = self._keys
        return boto3.Session().client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    """A statement of an IAM policy."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}
