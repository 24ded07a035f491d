"""What the life so far has taken, and what it has shown."""

import json
import subprocess
from urllib.parse import urlsplit

from containers.deployment import Deployment


def test_memory_stays_below_the_limits(deployment: Deployment) -> None:
    """No container was stopped for its memory, and none came near its limit."""
    watch = deployment.watch
    assert watch.failure is None
    assert len(watch.peaks) > 12
    near = {
        service: f"{peak / watch.limits[service]:.0%}"
        for service, peak in watch.peaks.items()
        if peak > 0.8 * watch.limits[service]
    }
    assert near == {}
    names = [container["ID"] for container in deployment.containers()]
    output = deployment.docker.run("inspect", "--format", "{{.Name}} {{.State.OOMKilled}}", *names)
    assert [line for line in output.stdout.splitlines() if not line.endswith("false")] == []


def test_logs_show_no_secret(deployment: Deployment) -> None:
    """Neither containers nor tasks have logged a password, a key or a user's token."""
    logs = deployment.logs()
    assert len(logs) > 100_000
    assert [name for name, text in _secrets(deployment).items() if text in logs] == []


def test_list_of_processes_shows_no_secret(deployment: Deployment) -> None:
    """No command line of this whole life held one."""
    arguments = "\n".join(deployment.watch.arguments)
    assert "airflow" in arguments
    assert [name for name, text in _secrets(deployment).items() if text in arguments] == []


def test_images_hold_no_secret(deployment: Deployment) -> None:
    """Neither the files of the images nor their history and settings hold one; and no .env."""
    hidden = _secrets(deployment)
    images = deployment.compose("--profile", "*", "config", "--images").split()
    for image in {name for name in images if name.startswith("songswap-")}:
        output = deployment.docker.run("history", "--no-trunc", image).stdout
        output += deployment.docker.run("inspect", image).stdout
        assert [name for name, text in hidden.items() if text in output] == []
        assert _found_in_files(deployment, image, list(hidden.values())) == 0, image


def _secrets(deployment: Deployment) -> dict[str, str]:
    """What nobody may see, by where it comes from. Short texts would be found by chance."""
    found: dict[str, str] = {}
    for name, text in deployment.settings.items():
        if text.startswith("{"):
            connection = json.loads(text)
            found[name] = connection.get("password", "")
            found[f"{name} webhook"] = connection.get("extra", {}).get("webhook_endpoint", "")
        elif "://" in text:
            found[name] = urlsplit(text).password or ""
        elif name.startswith("SONGSWAP_"):
            found[name] = text
    rows = deployment.sql('SELECT id, access_token, refresh_token FROM "SpotifyTokens"')
    for user, access, refresh in rows:
        found |= {f"access token of {user}": access, f"refresh token of {user}": refresh}
    return {name: text for name, text in found.items() if len(text) >= 20}


def _found_in_files(deployment: Deployment, image: str, texts: list[str]) -> int:
    """How many lines of the image's files have one of these texts."""
    container = deployment.docker.run("create", image, "true").stdout.strip()
    try:
        with subprocess.Popen(  # noqa: S603
            ["docker", "export", container],  # noqa: S607
            env=dict(deployment.docker.environment),
            stdout=subprocess.PIPE,
        ) as export:
            file = deployment.folder / ".git" / "hidden"
            file.touch(mode=0o600)
            file.write_text("\n".join(texts))
            counted = subprocess.run(  # noqa: S603
                ["grep", "--text", "--count", "--fixed-strings", "--file", str(file)],  # noqa: S607
                stdin=export.stdout,
                capture_output=True,
                text=True,
                check=False,
            )
        assert export.returncode == 0
        return int(counted.stdout)
    finally:
        deployment.docker.run("rm", container)
