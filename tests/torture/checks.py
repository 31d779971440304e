"""What must be true of what was seen. The checkers know nothing of Bilocate's inside.

That nothing acknowledged is missing, that order holds and that the copies are equal is checked on the volumes
themselves, by tests/real/harness/checker.py and images.py.
"""

from collections.abc import Iterable

from tests.torture.evidence import Apart, Served, Told

SHOWN = 5
IN_STEP = "active"
# A lost secondary and equal copies, a site that was failed over from and is in step: these exclude each other.
IMPOSSIBLE_FAULT_IN_STEP = "5"
SETTLED = ("available", "failovered")


class Broken(AssertionError):
    """A promise was not kept."""


def switches(answered: Iterable[Served]) -> int:
    """The least number of changes from one site to the other that explains all the answers.

    Each answer needs a moment between its write's sending and itself at which its site was the one that served.
    """
    here: str | None = None
    left: dict[str, float] = {}  # when a site stopped serving, at the latest
    count = 0
    for each in sorted(answered, key=lambda served: served.answered):
        if here is None:
            here = each.site
        if each.site == here or left.get(each.site, float("-inf")) >= each.sent:
            continue
        # As late as can be: whatever the old site was sent until now is explained too.
        left[here] = each.answered
        here, count = each.site, count + 1
    return count


def check_one_writer(answered: list[Served], told: list[Told], changes: int) -> None:
    """P2. `changes`: how many calls that change the roles may have been carried out."""
    # That a settled group's production is at a site is a claim of the same kind as an answered write.
    claims = [Served(look.asked, look.answered, look.station) for look in told if look.status in SETTLED]
    for what, seen in (("answered writes", answered), ("writes and what was told", answered + claims)):
        needed = switches(seen)
        if needed > changes:
            raise Broken(
                f"P2: {what} need at least {needed} changes of the production site, "
                f"and at most {changes} calls can have made one"
            )


def check_protection_told(answered: list[Served], told: list[Told], apart: list[Apart]) -> None:
    """Told to be in step, and hosts had been answered without the other site."""
    for gap in apart:
        alone = [
            each.answered
            for each in answered
            if gap.since < each.sent and each.answered < gap.until and each.site != gap.site
        ]
        if not alone:
            continue
        lies = [
            look
            for look in told
            if look.replication == IN_STEP and min(alone) < look.asked and look.answered < gap.until
        ]
        if lies:
            raise Broken(
                f"status: told to be in step {len(lies)} times while {gap.why} "
                f"and {len(alone)} writes had been answered: {lies[:SHOWN]}"
            )


def check_possible(told: list[Told]) -> None:
    """No look shows what can't be true together."""
    impossible = [
        look
        for look in told
        if look.replication == IN_STEP
        and (look.status == "failovered" or look.fault == IMPOSSIBLE_FAULT_IN_STEP)
    ]
    if impossible:
        raise Broken(f"status: {len(impossible)} impossible pairs: {impossible[:SHOWN]}")
