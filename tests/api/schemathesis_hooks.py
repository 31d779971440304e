"""What a schema can't say, told to schemathesis: which ids there are, and the names of the sites.

A valid body that names volumes or pairs is sent with some that are there now; what is to be refused stays as it is.
"""

import random
from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from tests.api.harness import PAIRS

from bilocate.api.wire import GROUP_ACTIONS

SITES = ("az1", "az2")
SECONDS = 10
PLAIN = 0.2  # so much stays as it was made
Json = dict[str, Any]
Case = schemathesis.Case[Any]


class Installation:
    """What is there, asked from the API as the case would ask."""

    def __init__(self, case: Case, headers: Any) -> None:
        project = case.path_parameters["project_id"]
        self._url = f"{case.operation.base_url.rstrip('/')}/v2/{project}"
        self._headers = headers

    def _list(self, path: str, key: str) -> list[Json]:
        answer = requests.get(f"{self._url}/{path}", headers=self._headers, timeout=SECONDS)
        found: list[Json] = answer.json()[key]
        return found

    def volume_at(self, site: str) -> str | None:
        """Any volume there that is available."""
        rows = self._list(f"volumes?availability_zone={site}&status=available", "volumes")
        return str(random.choice(rows)["id"]) if rows else None

    def pairs(self, *, of_a_group: bool) -> list[str]:
        """Pairs that are available, in a group or in none."""
        rows = self._list(f"{PAIRS}?status=available", "replications")
        return [
            row["id"] for row in rows if (row["replication_consistency_group_id"] is not None) == of_a_group
        ]


def _volume(body: Json, there: Installation) -> None:
    body["volume"].update(size=random.randint(1, 3), availability_zone=random.choice(SITES))


def _pair(body: Json, there: Installation) -> None:
    found = [there.volume_at(site) for site in SITES]
    if all(found):
        body["replication"].update(volume_ids=found, priority_station=random.choice(SITES))


def _group(body: Json, there: Installation) -> None:
    if found := there.pairs(of_a_group=False):
        body["replication_consistency_group"].update(
            replication_ids=found[:1], priority_station=random.choice(SITES)
        )


def _members(body: Json, there: Installation) -> None:
    if body and (found := there.pairs(of_a_group=False)):
        body["replication_consistency_group"].update(
            add_replication_ids=found[:1], remove_replication_ids=None
        )


def _attachment(body: Json, there: Installation) -> None:
    if found := there.volume_at(random.choice(SITES)):
        body["attachment"]["volume_uuid"] = found


def _verb(body: Json, there: Installation) -> None:
    body.clear()
    body[random.choice(sorted(GROUP_ACTIONS))] = None


TRUE_IDS: dict[str, Callable[[Json, Installation], None]] = {
    "createVolumeV2": _volume,
    "createVolumeV3": _volume,
    "createPair": _pair,
    "createGroup": _group,
    "updateGroup": _members,
    "actOnGroup": _verb,
    "createAttachment": _attachment,
}


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: Json) -> None:
    """Most of what is valid is made something that has a chance: also lists, which otherwise find nothing."""
    name = str(case.operation.definition.raw.get("operationId"))
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_valid or random.random() < PLAIN:
        return
    if name.startswith("list"):
        case.query = {}
    elif name in TRUE_IDS and isinstance(case.body, dict):
        TRUE_IDS[name](case.body, Installation(case, case.headers))
