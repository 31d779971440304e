"""What the API tells, typed. Each is also a read-only mapping of the API's own object, with every word it said.

`volume.size_gib` and `volume["size"]` are the same; fields that a later release tells are in the mapping alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, eq=False)
class Resource(Mapping[str, Any]):
    """The part that all have."""

    told: Mapping[str, Any]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From the API's own object."""
        mine = {
            field.name: told.get(field.metadata.get("word", field.name), field.default)
            for field in fields(cls)
            if field.name != "told"
        }
        return cls(dict(told), **mine)

    def __getitem__(self, word: str) -> Any:
        return self.told[word]

    def __iter__(self) -> Iterator[str]:
        return iter(self.told)

    def __len__(self) -> int:
        return len(self.told)


@dataclass(frozen=True, eq=False)
class Named(Resource):
    """Volumes, pairs and groups."""

    id: str = ""
    name: str | None = None
    description: str | None = None
    status: str = ""
    created_at: str | None = None
    updated_at: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, eq=False)
class Volume(Named):
    """A volume. Its size, in GiB, is `size`; `volume_type` is `standard` or `multiattach`."""

    size: int = 0
    availability_zone: str = ""
    volume_type: str | None = None
    multiattach: bool = False
    metadata: Mapping[str, str] | None = None

    @property
    def site(self) -> str:
        """Where it is: the name of its zone, or of the zone's site that has it where there are several."""
        return str(self.told.get("bilocate:site", self.availability_zone))


@dataclass(frozen=True, eq=False)
class Replicated(Named):
    """What pairs and groups have in common.

    `replication_status`: active, active-stopped, copying, inactive or error. `fault_level`: "0" nothing is wrong,
    "2" production can't be read and written, "5" the other site may be behind.
    """

    priority_station: str = ""
    replication_model: str | None = None
    replication_status: str | None = None
    fault_level: str | None = None
    failure_detail: str | None = None


@dataclass(frozen=True, eq=False)
class Pair(Replicated):
    """A replication pair. `volume_ids` is a text, as in the API; `volumes` has the two ids."""

    volume_ids: str = ""
    replication_consistency_group_id: str | None = None
    progress: str | None = None
    record_metadata: str | None = None

    @property
    def volumes(self) -> list[str]:
        """The ids of both volumes, in the order in which they were given."""
        return self.volume_ids.split(",")

    @property
    def percent(self) -> float | None:
        """How much is equal; None where there is nothing to tell."""
        return None if self.progress is None else float(self.progress)

    @property
    def size_gib(self) -> int:
        """The size of each volume; 0 where the API does not tell."""
        return int(json.loads(self.record_metadata or "{}").get("volume_size") or 0)


@dataclass(frozen=True, eq=False)
class Group(Replicated):
    """A replication consistency group. `replication_ids` are its pairs."""

    replication_ids: list[str] | None = None


@dataclass(frozen=True, eq=False)
class Attachment(Resource):
    """An attachment of block storage v3. `connection_info` holds a secret, and is told only where one is made."""

    id: str = ""
    volume_id: str = ""
    instance: str | None = None
    status: str = ""
    attach_mode: str | None = None
    connection_info: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Quotas(Resource):
    """What a project may have; -1 is no limit. Groups are counted in each availability zone."""

    volumes: int = -1
    gigabytes: int = -1
    replication_consistency_groups: int = -1
