"""A client of Bilocate's HTTP API, blocking or awaited: replication, volumes, attachments, quotas.

    from bilocate.client import Client, Login

    with Client(Login("http://127.0.0.1:8776/identity/v3", "admin", password, project_name="admin")) as client:
        group = client.find_group("shop")
        client.act(group.id, "failover")
        client.wait_for_group(group.id, status="failovered")

`AsyncClient` has the same calls, each to be awaited. `SessionAccess` takes a keystoneauth1 session in place of a Login.
"""

from bilocate.client.access import Access, Login
from bilocate.client.client import AsyncClient, Client
from bilocate.client.errors import (
    AmbiguousName,
    BadGateway,
    ClientError,
    Conflict,
    Forbidden,
    GatewayTimeout,
    Malformed,
    NoSuchName,
    NotAcceptable,
    NotFound,
    NotInTime,
    NotSupported,
    NotTheApi,
    OverLimit,
    ProxyRequired,
    Refused,
    ServerFault,
    TooMany,
    TooSlow,
    Unauthorized,
    Unavailable,
    Unreachable,
    WorkFailed,
    WrongMethod,
)
from bilocate.client.keystone import SessionAccess
from bilocate.client.resources import Attachment, Group, Pair, Quotas, Volume
from bilocate.client.waiting import Outcome

__all__ = [
    "Access",
    "AmbiguousName",
    "AsyncClient",
    "Attachment",
    "BadGateway",
    "Client",
    "ClientError",
    "Conflict",
    "Forbidden",
    "GatewayTimeout",
    "Group",
    "Login",
    "Malformed",
    "NoSuchName",
    "NotAcceptable",
    "NotFound",
    "NotInTime",
    "NotSupported",
    "NotTheApi",
    "Outcome",
    "OverLimit",
    "Pair",
    "ProxyRequired",
    "Quotas",
    "Refused",
    "ServerFault",
    "SessionAccess",
    "TooMany",
    "TooSlow",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Volume",
    "WorkFailed",
    "WrongMethod",
]
