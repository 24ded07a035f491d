"""Erasures as they are requested, and what the spools of hosts have of a user then."""

import os
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from factories import Platform

from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.settings import Settings
from songswap.storage.spool import Spool

USER = 2
"""Who is erased."""


def host(platform: Platform, name: str) -> Settings:
    """The settings of another host: all is the same but its disk."""
    spool = platform.settings.spool.parent / f"disk of {name}"
    return replace(
        platform.settings, spool=spool, host=name, keep_tokens=timedelta(days=2), batch_size=100
    )


def without_s3(settings: Settings) -> Settings:
    """The same with a wrong key for S3."""
    return replace(settings, archive=replace(settings.archive, secret_access_key="wrong"))


def fetched(platform: Platform, on: Settings, run_id: str = "run") -> None:
    """Have a host poll everybody: the responses wait in its spool for S3 and the warehouse."""
    hourly_load.plan(on, run_id, platform.clock)
    fetch(without_s3(on), run_id, 0, platform.clock)


def request(platform: Platform, *, keeps_account: bool = False, user_id: int = USER) -> int:
    """Have an erasure requested, as `songswap erase` does: of all places that are known."""
    ((id_,),) = platform.rows(
        "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account,"
        " refresh_digest) SELECT id, %s, 'request', %s, sha256(convert_to(refresh_token, 'UTF8'))"
        ' FROM "SpotifyTokens" WHERE id = %s RETURNING erasure_id',
        *(platform.clock(), keeps_account, user_id),
    )
    platform.execute(
        "INSERT INTO songswap.erasure_places (erasure_id, place, host)"
        " SELECT %s, spool_id::text, host FROM songswap.spools",
        id_,
    )
    return int(id_)


def end(platform: Platform, id_: int, renewed_at: datetime | None = None) -> None:
    platform.execute(
        "UPDATE songswap.erasures SET ended_at = coalesce(%s, now()), renewed_at = %s"
        " WHERE erasure_id = %s",
        *(renewed_at, renewed_at, id_),
    )


def id_of(on: Settings) -> UUID:
    with Spool(on.spool) as spool:
        return spool.id


def place(platform: Platform, on: Settings) -> tuple[dict[str, int], bool, str | None]:
    """The last erasure's place of a host: what was removed, whether confirmed, the problem."""
    ((*found,),) = platform.rows(
        "SELECT removed, confirmed_at IS NOT NULL, problem FROM songswap.erasure_places"
        " WHERE place = %s ORDER BY erasure_id DESC LIMIT 1",
        str(id_of(on)),
    )
    return found[0], found[1], found[2]


def removed(responses: int = 0, tokens: int = 0, rotations: int = 0) -> dict[str, int]:
    return {"responses": responses, "tokens": tokens, "rotations": rotations}


def users_in(on: Settings) -> set[int]:
    """The users of whom a spool has a response or a token."""
    with Spool(on.spool) as spool:
        responses = {entry.user_id for entry in spool.entries()}
        rotations = {user_id for user_id, _ in spool.latest_tokens(0, 99, 99)}
        return responses | rotations | {token.user_id for token in spool.tokens()}


def marks(on: Settings, user_id: int = USER) -> set[bytes]:
    """What tells of a user in a spool: keys, bodies as they are stored, tokens."""
    found = {f"user{user_id}/".encode()}
    with Spool(on.spool) as spool:
        entries = [entry for entry in spool.entries() if entry.user_id == user_id]
        found |= {spool.find(entry.id).packed[-200:] for entry in entries}
        for token in spool.tokens():
            if token.user_id == user_id:
                found |= {token.refresh_token.encode(), token.old_refresh_token.encode()}
    return found


def holds(on: Settings, found: set[bytes]) -> set[bytes]:
    """Which of these marks the files of a spool have."""
    files = [path.read_bytes() for path in on.spool.rglob("*") if path.is_file()]
    return {mark for mark in found if any(mark in content for content in files)}


def silence(platform: Platform, on: Settings, **ago: int) -> None:
    """Let time pass in which a host reports nothing."""
    platform.execute(
        "UPDATE songswap.spools SET seen_at = seen_at - %s WHERE host = %s",
        *(timedelta(**ago or {"hours": 1}), on.host),
    )


def standing(process: "subprocess.Popen[str]") -> None:
    """Wait until a process has frozen itself."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), process.stderr.read() if process.stderr else ""


def environment(on: Settings) -> dict[str, str]:
    return {"SONGSWAP_SPOOL": str(on.spool), "SONGSWAP_HOST": on.host}


def archived(platform: Platform) -> set[str]:
    """The users of whom S3 has a response."""
    return {key.split("/user")[1].split("/")[0] for key in platform.objects()}
