"""The types of volumes, and the words of block storage for them. They are the same in every installation."""

from dataclasses import dataclass
from typing import Any

from bilocate.api import fields
from bilocate.api.codes import BAD_ACTION, Problem, malformed
from bilocate.api.wire import Json

POLICIES = ("never", "on-demand")


@dataclass(frozen=True, slots=True)
class VolumeType:
    """`multiattach`: several hosts may attach a volume of it at once."""

    id: str
    name: str
    description: str
    multiattach: bool = False


STANDARD = VolumeType("0f5a31b5-6f0b-4b7e-9a5c-2a1a8f0c7d11", "standard", "A file or block device of a site")
MULTIATTACH = VolumeType(
    "5d0c8c1e-93a4-4b7d-8f27-60e5a7c1f3b2",
    "multiattach",
    "A file or block device of a site that several hosts may attach at once",
    multiattach=True,
)
TYPES = (STANDARD, MULTIATTACH)


def told(kind: VolumeType) -> Json:
    """A type with all that is told of it."""
    return {
        "id": kind.id,
        "name": kind.name,
        "description": kind.description,
        "is_public": True,
        "os-volume-type-access:is_public": True,
        "extra_specs": {"multiattach": "<is> True"} if kind.multiattach else {},
        "qos_specs_id": None,
    }


def find(wanted: str) -> VolumeType:
    """The type of that name or id.

    :raises Problem: 404.
    """
    for kind in TYPES:
        if wanted in (kind.name, kind.id):
            return kind
    offered = ", ".join(repr(kind.name) for kind in TYPES)
    raise Problem(404, f"there is no volume type {wanted!r}: there is {offered}")


def asked(values: Json) -> VolumeType:
    """The type that a new volume is to have: the standard one, where none is named.

    :raises Problem: 400, 404.
    """
    return find(fields.text(values, "volume_type") or STANDARD.name)


def new_type(value: Any) -> VolumeType:
    """The type that a volume is to get. No policy makes a difference: it stays where it is.

    :raises Problem: 400, 404.
    """
    if not isinstance(value, dict):
        raise malformed("the value of os-retype must be an object", BAD_ACTION)
    policy = fields.text(value, "migration_policy")
    if policy not in (None, *POLICIES):
        raise malformed(f"os-retype: migration_policy must be one of {', '.join(POLICIES)}", BAD_ACTION)
    return find(fields.required_text(value, "new_type"))
