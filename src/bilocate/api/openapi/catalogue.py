"""What a project finds around its volumes: zones, services, types, limits and quotas; and the lists that are empty."""

import re

from bilocate.api import quotas
from bilocate.api import wire_volumes as wire
from bilocate.api.not_yet import NONE_OF
from bilocate.api.openapi.calls import Table, Told
from bilocate.api.openapi.shapes import (
    BOOLEAN,
    COUNT,
    ID,
    NULL,
    STRING,
    STRINGS,
    Json,
    constant,
    list_of,
    only,
    ref,
    told,
    within,
    words,
)
from bilocate.operations.quotas import UNLIMITED, Resource

_SERVICE = told(
    {
        "binary": constant(wire.AGENT),
        "host": STRING,
        "zone": STRING,
        "status": constant("enabled"),
        "state": words(("up", "down")),
        "updated_at": NULL,
        "disabled_reason": NULL,
    }
)
_LIMIT = {"type": "integer", "minimum": UNLIMITED}
_LIMITED = [*quotas.FIXED, *(resource.value for resource in Resource)]
_IN_USE = told({"limit": _LIMIT, "in_use": COUNT, "reserved": COUNT})
_ABSOLUTE = [
    "maxTotalVolumes", "totalVolumesUsed", "maxTotalVolumeGigabytes", "totalGigabytesUsed", "maxTotalSnapshots",
    "totalSnapshotsUsed", "maxTotalBackups", "totalBackupsUsed", "maxTotalBackupGigabytes",
    "totalBackupGigabytesUsed",
]  # fmt: skip

SCHEMAS: dict[str, Json] = {
    "VolumeType": told(
        {
            "id": ID,
            "name": STRING,
            "description": STRING,
            "is_public": BOOLEAN,
            "os-volume-type-access:is_public": BOOLEAN,
            "extra_specs": STRINGS,
            "qos_specs_id": NULL,
        }
    ),
    "Quotas": told({"id": STRING, **dict.fromkeys(_LIMITED, _LIMIT)}),
    "NewQuotas": told(dict.fromkeys(_LIMITED, _LIMIT)),
    "QuotasInUse": told({"id": STRING, **dict.fromkeys(_LIMITED, _IN_USE)}),
}
_QUOTA: Json = {
    "anyOf": [
        {"type": "integer", "minimum": UNLIMITED, "maximum": quotas.LIMIT_MAX},
        {"type": "string", "pattern": "^-?[0-9]{1,11}$"},
    ]
}
_IGNORED: Json = {}
_NEW_QUOTAS = only(
    {
        **{resource.value: _QUOTA for resource in Resource},
        **dict.fromkeys(quotas.NAMED, _IGNORED),
    }
)
_QUOTA_SET = told({quotas.KEY: ref("Quotas")})

CALLS: Table = {
    "os-availability-zone": {
        "GET": Told(
            "listZones",
            {
                200: told(
                    {
                        "availabilityZoneInfo": list_of(
                            told({"zoneName": STRING, "zoneState": told({"available": BOOLEAN})})
                        )
                    }
                )
            },
        )
    },
    "os-services": {
        "GET": Told(
            "listServices",
            {200: told({"services": list_of(_SERVICE)})},
            query={"host": STRING, "binary": STRING},
        )
    },
    "types": {"GET": Told("listTypes", {200: told({"volume_types": list_of(ref("VolumeType"))})})},
    "types/{id}": {"GET": Told("showType", {200: told({"volume_type": ref("VolumeType")})})},
    "limits": {
        "GET": Told(
            "showLimits",
            {
                200: told(
                    {
                        "limits": told(
                            {
                                "rate": list_of(told({}), maxItems=0),
                                "absolute": told(dict.fromkeys(_ABSOLUTE, _LIMIT)),
                            }
                        )
                    }
                )
            },
        )
    },
    "os-quota-sets/{id}": {
        "GET": Told(
            "showQuotas",
            {200: {"anyOf": [_QUOTA_SET, told({quotas.KEY: ref("QuotasInUse")})]}},
            query={"usage": {**STRING, "description": "'true': what is used too"}},
        ),
        "PUT": Told(
            "setQuotas", {200: told({quotas.KEY: ref("NewQuotas")})}, body=within(quotas.KEY, _NEW_QUOTAS)
        ),
        "DELETE": Told("deleteQuotas", {200: None}),
    },
    "os-quota-class-sets/{id}": {
        "GET": Told("showQuotaClass", {200: told({quotas.CLASS_KEY: ref("Quotas")})}),
        "PUT": Told(
            "setQuotaClass",
            {200: told({quotas.CLASS_KEY: ref("NewQuotas")})},
            body=within(quotas.CLASS_KEY, _NEW_QUOTAS),
        ),
    },
    "os-quota-sets/{id}/defaults": {"GET": Told("showDefaultQuotas", {200: _QUOTA_SET})},
}


def none_of(version: str) -> Table:
    """The lists that are always empty."""
    return {
        path: {
            "GET": Told(
                f"list{_camel(path)}",
                {200: told({key: list_of({}, maxItems=0)})},
                said=f"There are no {what} in this release.",
            )
        }
        for only, path, key, what in NONE_OF
        if only in ("", version)
    }


def _camel(path: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[-_/]", path))
