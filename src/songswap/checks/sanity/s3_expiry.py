"""Check that the bucket deletes raw responses when `SONGSWAP_KEEP_RAW_DAYS` says, and not else.

S3 deletes them itself, by the bucket's lifecycle policy: an operator sets it, nothing here does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from songswap import settings
from songswap.checks.sanity.context import CheckContext, connection_named
from songswap.checks.sanity.s3_bucket import ERASE, Bucket
from songswap.errors import CheckFailed
from songswap.settings.retention import RAW_DAYS, keep_raw_days
from songswap.storage import keys, s3_boto
from songswap.storage.export_folder import shown

_POLICY = 'docs/deployment.md, "Raw responses expire", has the policy'

_KEPT_LONGER = 1
"""Days that an older version has to outlive the newest one: S3 takes no smaller number."""


class Rule(NamedTuple):
    """A rule of a lifecycle policy.

    Args:
        is_narrowed: it is for some objects below ``prefix`` only, by their tags or size.
        days: after which it deletes; None, where it does so on a date or never.
        on_date: it deletes on a date.
        older_days: after which it deletes a version that is not the newest any longer.
        older_kept: so many of these versions stay all the same.
    """

    name: str
    is_enabled: bool
    prefix: str
    is_narrowed: bool
    days: int | None
    on_date: bool
    older_days: int | None
    older_kept: int

    @classmethod
    def parse(cls, rule: Mapping[str, Any]) -> "Rule":
        """Parse a rule as boto3 returns it."""
        filtered = rule.get("Filter", {})
        both = filtered.get("And", {})
        expiration, older = rule.get("Expiration", {}), rule.get("NoncurrentVersionExpiration", {})
        return cls(
            shown(str(rule.get("ID", "")))[:100],
            rule.get("Status") == "Enabled",
            rule.get("Prefix") or filtered.get("Prefix") or both.get("Prefix") or "",
            bool((filtered.keys() | both.keys()) - {"Prefix", "And"}),
            expiration.get("Days"),
            "Date" in expiration,
            older.get("NoncurrentDays"),
            older.get("NewerNoncurrentVersions", 0),
        )

    @property
    def deletes(self) -> bool:
        """Whether it deletes objects, were it enabled."""
        return self.days is not None or self.on_date

    @property
    def named(self) -> str:
        """What it deletes when, for a message."""
        when = f"after {self.days:,} days" if self.days is not None else "on a date"
        what = shown(self.prefix)[:100] or "the bucket"
        share = "some" if self.is_narrowed else "all"
        return f"the rule '{self.name}' deletes {share} of {what} {when}"

    def covers(self, folder: str) -> bool:
        """Return whether it holds for every object below a folder."""
        return folder.startswith(self.prefix) and not self.is_narrowed

    def touches(self, folder: str) -> bool:
        """Return whether it may hold for an object below a folder."""
        return folder.startswith(self.prefix) or self.prefix.startswith(folder)


def expiry(context: CheckContext) -> str:
    """Check the bucket's lifecycle policy against the setting.

    Raises:
        CheckFailed: they differ, or the policy cannot be read; says what to set.
        SettingsError: the setting is no number of days.
    """
    keep_days = keep_raw_days(context.environment)
    if context.find_connection(ERASE) is None:
        if keep_days is None:
            return f"Not checked: {ERASE} is not set, whose key reads the bucket's policy."
        raise CheckFailed(
            f"{RAW_DAYS} is {keep_days}, and whether the bucket deletes raw responses by then is"
            f" unknown. What to do: set {connection_named(ERASE)}, whose key reads its lifecycle"
            " policy."
        )
    rules = _read(Bucket(context, ERASE).archive)
    if rules is not None:
        return judge(rules, keep_days)
    if keep_days is None:
        return f"The server knows no lifecycle policies: it keeps all, as without {RAW_DAYS}."
    raise CheckFailed(
        f"{RAW_DAYS} is {keep_days}, and the server knows no lifecycle policies: it keeps all."
        f" What to do: delete by its own means, and remove {RAW_DAYS}; or use another server."
    )


def judge(rules: Sequence[Rule], keep_days: int | None) -> str:
    """Compare the rules of a policy with the setting; returns what is deleted when.

    Raises:
        CheckFailed: they differ.
    """
    active = [rule for rule in rules if rule.is_enabled and rule.deletes]
    exports = [rule for rule in active if rule.touches(keys.EXPORTS)]
    if keep_days is None:
        if unnoticed := [rule for rule in active if rule.touches(keys.PREFIX) or rule in exports]:
            raise CheckFailed(
                f"The bucket deletes raw data, and {RAW_DAYS} is not set, which means never:"
                f" {_listed(unnoticed)}. No replay reads again what is deleted. What to do: remove"
                f" that, or set {RAW_DAYS} to its days."
            )
        return f"Raw responses and exports are kept: no rule deletes them, nor does {RAW_DAYS}."
    problems = [*_wrong_days(rules, keep_days), *_wrong_versions(rules)]
    if problems:
        raise CheckFailed(
            f"{RAW_DAYS} is {keep_days}, and the bucket's lifecycle policy is another one:"
            f" {'; '.join(problems)}. What to do: {_POLICY}; or change {RAW_DAYS}."
        )
    kept = f"of exports, {_listed(exports)}" if exports else "exports are kept"
    return f"Raw responses are deleted after {keep_days:,} days, as {RAW_DAYS} says; {kept}."


def _wrong_days(rules: Sequence[Rule], keep_days: int) -> list[str]:
    """Say what deletes the newest versions of responses at another time."""
    deleting = [rule for rule in rules if rule.deletes and rule.touches(keys.PREFIX)]
    active = [rule for rule in deleting if rule.is_enabled]
    # Where several rules hold for an object, the shortest time counts.
    wrong = [rule for rule in active if rule.days is None or rule.days < keep_days]
    problems = [_listed(wrong)] if wrong else []
    if not any(
        rule.days is not None and rule.days <= keep_days and rule.covers(keys.PREFIX)
        for rule in active
    ):
        others = _listed(rule for rule in active if rule not in wrong)
        disabled = ", ".join(f"'{rule.name}'" for rule in deleting if not rule.is_enabled)
        problems.append(
            f"no rule deletes all of {keys.PREFIX} by then"
            + (f"; {others}" if others else "")
            + (f"; disabled: {disabled}" if disabled else "")
        )
    return problems


def _wrong_versions(rules: Iterable[Rule]) -> list[str]:
    """Say for how much longer older versions of responses stay."""
    whole = [rule for rule in rules if rule.is_enabled and rule.covers(keys.PREFIX)]
    days = [
        rule.older_days for rule in whole if rule.older_days is not None and not rule.older_kept
    ]
    if not days:
        return ["older versions stay for ever (NoncurrentVersionExpiration)"]
    longer = min(days)
    return [f"older versions stay for {longer:,} days more"] if longer > _KEPT_LONGER else []


def _listed(rules: Iterable[Rule]) -> str:
    return ", ".join(rule.named for rule in rules)


def _read(where: settings.Archive) -> list[Rule] | None:
    """Return the rules of the bucket's policy; None where the server knows no policies.

    Raises:
        CheckFailed: S3 does not give it.
    """
    try:
        with s3_boto.open_client(where) as client:
            found = client.get_bucket_lifecycle_configuration(Bucket=where.bucket)
    except s3_boto.REFUSED as error:
        code = s3_boto.code(error)
        if code == "NoSuchLifecycleConfiguration":
            return []
        if s3_boto.is_lacking(error):
            return None
        raise _unreadable(error, is_denied=code == "AccessDenied") from None
    except s3_boto.ERRORS as error:
        raise _unreadable(error, is_denied=False) from None
    # Some servers respond with a listing of objects to what they do not know.
    return [Rule.parse(rule) for rule in found["Rules"]] if "Rules" in found else None


def _unreadable(error: Exception, *, is_denied: bool) -> CheckFailed:
    advice = (
        f"allow the key of {ERASE} s3:GetLifecycleConfiguration on the bucket: its policy is in"
        ' docs/deployment.md, "The keys of the archive"'
        if is_denied
        else f"check the bucket, and endpoint_url in the extra of {connection_named(ERASE)}"
    )
    return CheckFailed(
        f"S3 did not give the bucket's lifecycle policy: {s3_boto.describe(error)}. What to do:"
        f" {advice}."
    )
