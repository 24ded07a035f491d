"""What outlives the containers: down and up, a restored backup, an upgrade and the way back."""

import re

from containers import site
from containers.deployment import LOAD, Deployment

_LABEL = "label=com.docker.compose.project=songswap"
OUTSIDE = ("demo-warehouse", "demo-s3", "demo-simulator")
"""What is elsewhere in production, and is not stopped there."""


def test_down_and_up(deployment: Deployment) -> None:
    """`down` leaves nothing running and every volume; after `up` all goes on."""
    deployment.idle()
    before = deployment.history()
    runs = deployment.api.runs(LOAD)
    deployment.compose("down")
    deployment.ledger_is_whole = False
    assert deployment.docker.run("ps", "--all", "--quiet", "--filter", _LABEL).stdout == ""
    assert deployment.docker.run("network", "ls", "--quiet", "--filter", _LABEL).stdout == ""
    with deployment.measured("cold `up -d --wait`, with data"):
        deployment.compose("up", "-d", "--wait")
    assert deployment.unwell() == []
    assert not before - deployment.history()
    assert {run for run, _ in runs} <= {run for run, _ in deployment.api.runs(LOAD)}
    deployment.run()
    deployment.assert_history_is_ledger()


def test_backup_into_an_empty_volume(deployment: Deployment) -> None:
    """The dump of docs/deployment.md brings runs and logins back where the volume was lost."""
    deployment.idle()
    runs = set(deployment.api.runs(LOAD))
    text = (deployment.folder / "docs/deployment.md").read_text()
    dump, restore = (_documented(text, program) for program in ("pg_dump", "pg_restore"))
    with deployment.measured("dump of the metadata"):
        deployment.shell(dump)
    deployment.compose("stop")
    deployment.compose("rm", "--force", "postgres")
    deployment.docker.run("volume", "rm", "songswap_metadata")
    deployment.compose("up", "-d", "--wait", "postgres")
    with deployment.measured("restore of the metadata"):
        deployment.shell(restore)
    deployment.compose("up", "-d", "--wait")
    assert runs <= set(deployment.api.runs(LOAD))
    deployment.run()
    deployment.assert_history_is_ledger()


def test_rollback_and_upgrade_lose_no_play(deployment: Deployment) -> None:
    """By the commands of docs/deployment.md, with an older schema in between; loads are green in
    both."""
    new = site.git(deployment.folder, "rev-parse", "HEAD").strip()
    headings = ("Back to the version before", "Upgrade")
    back, forth = (site.commands(deployment.folder, heading) for heading in headings)
    old, version = _older(deployment)
    deployment.idle()
    before = deployment.history()

    with deployment.measured(f"back to schema {version}, with the build of the images"):
        for line in back:
            line = re.sub(r"--to \d+", f"--to {version}", line).replace("THE_OLD_COMMIT", old)
            _follow(deployment, line)
        deployment.wait_api()
    assert deployment.schema() == version
    deployment.run()
    assert not before - deployment.history()
    deployment.idle()

    with deployment.measured("upgrade, with the build of the images"):
        for line in forth:
            _follow(deployment, line.replace("git pull", f"git checkout {new}"))
        deployment.wait_api()
    deployment.wait_well()
    assert deployment.schema() != version
    deployment.run()
    assert not before - deployment.history()
    deployment.assert_history_is_ledger()


def _documented(text: str, program: str) -> str:
    found = re.search(rf"`(docker compose exec [^`]*{program}[^`]*)`", text)
    assert found, program
    return found[1]


def _older(deployment: Deployment) -> tuple[str, str]:
    """A commit that needs an older schema, and that schema's version. Where Compose does not take
    its compose file for `pids_limit`, a commit without that line."""
    commit, version = site.commit_before(deployment.folder)
    newest = site.git(deployment.folder, "rev-parse", "HEAD").strip()
    site.git(deployment.folder, "checkout", "--quiet", commit)
    if deployment.docker.run(
        "compose", "config", "-q", cwd=deployment.folder, check=False
    ).returncode:
        file = deployment.folder / "docker-compose.yaml"
        file.write_text(re.sub(r"^  pids_limit: .*\n", "", file.read_text(), flags=re.MULTILINE))
        deployment.compose("config", "-q")
    old = site.commit(deployment.folder, "The version before")
    site.git(deployment.folder, "checkout", "--quiet", newest)
    return old, version


def _follow(deployment: Deployment, line: str) -> None:
    """Do what a line of the documentation says."""
    if deployment.stand_ins:
        line = line.replace(" --pull", "")
    deployment.note(line)
    deployment.shell(line)
    if line.endswith("compose stop"):
        deployment.compose("up", "-d", "--wait", *OUTSIDE)
