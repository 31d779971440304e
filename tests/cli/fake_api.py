"""A small HTTP server that behaves as the API does, in memory, for the commands to talk to.

It is scripted only where a test needs a refusal or a state: `refuse` answers one call with an error,
`script` lets a group show given states one look after the other.
"""

import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PROJECT = "0123456789abcdef0123456789abcdef"
PASSWORD = "s3cret-of-the-test"
PAIRS = "os-vendor-replications"
GROUPS = "os-vendor-replication-consistency-groups"

Answer = tuple[int, dict[str, Any] | None]


@dataclass
class FakeApi:
    """The state, and what was asked."""

    url: str = ""
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refusals: dict[tuple[str, str], Answer] = field(default_factory=dict)
    scripts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=lambda: {"agents": {"az1": "ok", "az2": "ok"}})

    def refuse(self, method: str, path_end: str, status: int, message: str) -> None:
        """Answer calls whose path ends like this with an error."""
        body = {"anyName": {"code": status, "message": message, "error_code": "EVS.0000"}}
        self.refusals[method, path_end] = (status, body)

    def script(self, item: dict[str, Any], *states: dict[str, Any]) -> None:
        """Each look at `item` applies the next of these states to it."""
        self.scripts[item["id"]] = list(states)

    def add_volume(self, name: str, site: str = "az1", size: int = 1) -> dict[str, Any]:
        volume: dict[str, Any] = {"id": str(uuid.uuid4()), "name": name, "status": "available"}
        volume |= {"availability_zone": site, "size": size}
        self.volumes[volume["id"]] = volume
        return volume

    def add_pair(self, name: str, group_id: str | None = None, **fields: Any) -> dict[str, Any]:
        pair: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "name": name,
            "status": "available",
            "priority_station": "az1",
            "volume_ids": "a,b",
            "replication_consistency_group_id": group_id,
            "replication_status": "inactive",
            "progress": None,
            "fault_level": "0",
            "record_metadata": json.dumps({"volume_size": 1}),
        }
        pair |= fields
        self.pairs[pair["id"]] = pair
        return pair

    def add_group(self, name: str, **fields: Any) -> dict[str, Any]:
        group: dict[str, Any] = {
            "id": str(uuid.uuid4()),
            "name": name,
            "status": "available",
            "priority_station": "az1",
            "replication_status": "active",
            "replication_ids": [],
            "fault_level": "0",
        }
        group |= fields
        self.groups[group["id"]] = group
        return group

    def answer(self, method: str, target: str, body: Any, token: str) -> tuple[Answer, str]:
        """((status, body), new token)"""
        path = urlsplit(target).path
        self.calls.append((method, path, body))
        if path == "/readyz":
            return (200, self.ready), ""
        if path == "/identity/v3/auth/tokens":
            return self._token(body)
        for (verb, end), refusal in self.refusals.items():
            if verb == method and path.endswith(end):
                return refusal, ""
        if token not in self.tokens:
            return (401, {"unauthorized": {"code": 401, "message": "The token is not valid."}}), ""
        parts = path.removeprefix(f"/v2/{PROJECT}/").split("/")
        filters = dict(parse_qsl(urlsplit(target).query))
        return self._resource(method, parts, filters, body), ""

    def _token(self, body: Any) -> tuple[Answer, str]:
        user = body["auth"]["identity"]["password"]["user"]
        if user["password"] != PASSWORD:
            return (401, {"unauthorized": {"code": 401, "message": "Wrong user or password."}}), ""
        token = uuid.uuid4().hex
        self.tokens.add(token)
        endpoint = {"interface": "public", "region": "RegionOne", "url": f"{self.url}/v2/{PROJECT}"}
        catalog = [{"type": "evs", "endpoints": [endpoint]}]
        return (201, {"token": {"project": {"id": PROJECT}, "catalog": catalog}}), token

    def _resource(self, method: str, parts: list[str], filters: dict[str, str], body: Any) -> Answer:
        kinds: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
            "volumes": (self.volumes, "volume"),
            PAIRS: (self.pairs, "replication"),
            GROUPS: (self.groups, "replication_consistency_group"),
        }
        if parts[0] == "os-volume-manage":
            asked = body["volume"]
            return 202, {"volume": self.add_volume(asked["name"], asked["host"])}
        things, key = kinds[parts[0]]
        if method == "GET" and parts[1:] in ([], ["detail"]):
            limit, marker = int(filters.pop("limit", "1000")), filters.pop("marker", None)
            found = [item for item in things.values() if all(item.get(k) == v for k, v in filters.items())]
            ids = [item["id"] for item in found]
            begin = ids.index(marker) + 1 if marker is not None else 0
            return 200, {f"{key}s": found[begin : begin + limit]}
        if method == "POST" and len(parts) == 1:
            return self._create(things, key, body[key])
        item = things.get(parts[1])
        if item is None:
            return 404, {"itemNotFound": {"code": 404, "message": f"{key} {parts[1]} could not be found."}}
        return self._item(method, parts, things, key, item, body)

    def _create(self, things: dict[str, dict[str, Any]], key: str, fields: dict[str, Any]) -> Answer:
        adders = {
            "volume": lambda: self._add_new_volume(fields),
            "replication": lambda: self.add_pair(fields["name"]),
            "replication_consistency_group": lambda: self.add_group(fields["name"]),
        }
        return 202, {key: adders[key]()}

    def _add_new_volume(self, fields: dict[str, Any]) -> dict[str, Any]:
        source = self.volumes.get(fields.get("source_volid", ""), {})
        found = {**source, **fields}
        return self.add_volume(fields["name"], found["availability_zone"], found["size"])

    def _item(
        self, method: str, parts: list[str], things: dict[str, Any], key: str, item: dict[str, Any], body: Any
    ) -> Answer:
        if method == "DELETE":
            del things[item["id"]]
            return 202, None
        if method == "PUT":
            item |= {name: value for name, value in body[key].items() if name in item}
            return 202, {key: item}
        if parts[2:] == ["action"]:
            if "os-initialize_connection" in body:
                uri = f"nbd://127.0.0.1:10809/{item['id']}-secret"
                return 200, {"connection_info": {"driver_volume_type": "nbd", "data": {"uri": uri}}}
            return 200, None
        script = self.scripts.get(item["id"])
        if script:
            item |= script.pop(0)
        return 200, {key: item}


def serve(api: FakeApi) -> ThreadingHTTPServer:
    """Serve `api` on a free loopback port, in a thread; `shutdown` ends it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("X-Auth-Token", "")
            (status, content), new_token = api.answer(self.command, self.path, body, token)
            data = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            if new_token:
                self.send_header("X-Subject-Token", new_token)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
