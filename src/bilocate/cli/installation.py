"""The files `up` makes once and finds again: the key, and a TOML for the controller and each site."""

import contextlib
import json
import os
import random
import secrets
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from bilocate.cli.errors import UsageProblem
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.config import KEY_BYTES, control_token, load_controller_config, read_key
from bilocate.tls import client_context

HOST = "127.0.0.1"
DEFAULT_SITES = ("az1", "az2")
# Below the range from which systems take ports of outgoing connections: a port that is kept for good must
# not be in some client's use at the moment of a restart.
PORTS = range(20000, 32000)
PORTS_PER_SITE = 3
UNIX_SOCKET_PATH_BYTES_MAX = 107


@dataclass(frozen=True)
class Control:
    """How an agent's control endpoint is called."""

    url: str
    headers: dict[str, str]


def configure(
    layout: Layout, api_port: int | None, zones: list[str] | None, agents: int | None = None
) -> None:
    """Make key and configurations where there are none; what is there stays as it is. `agents`: in each zone.

    :raises UsageProblem: when another port, other zones or another number of agents are asked for than are configured.
    """
    if layout.config(CONTROLLER).exists():
        _check_unchanged(layout, api_port, zones, agents)
        return
    zone_of = _sites_of(zones or list(DEFAULT_SITES), agents or 1)
    _write_private(layout.key_file, secrets.token_hex(KEY_BYTES) + "\n")
    api, *rest = free_ports(1 + PORTS_PER_SITE * len(zone_of), api_port)
    ports = {name: rest[PORTS_PER_SITE * i : PORTS_PER_SITE * (i + 1)] for i, name in enumerate(zone_of)}
    for name in zone_of:
        layout.data(name).mkdir(mode=0o700, exist_ok=True)
        _write_private(layout.config(name), _site_toml(layout, name, ports[name], api))
    # Last, because it is by this file that an installation is known to be complete.
    _write_private(layout.config(CONTROLLER), _controller_toml(layout, zone_of, ports, api))


def api_address(layout: Layout) -> str:
    """Where the controller answers, without a path. With TLS by the name that its certificate has, if one is told."""
    api = load_controller_config(layout.config(CONTROLLER)).api
    if api.tls_certificate_file is None:
        return f"http://{api.host}:{api.port}"
    return api.public_url.rstrip("/") or f"https://{api.host}:{api.port}"


def api_trust(layout: Layout) -> ssl.SSLContext | bool:
    """How the controller's certificate is verified.

    :raises TlsFileError: the CA file that is configured holds no certificates.
    """
    return client_context(load_controller_config(layout.config(CONTROLLER)).api.tls_ca_file)


def control_of(layout: Layout, site: str) -> Control:
    """How to call a site's agent."""
    config = load_controller_config(layout.config(CONTROLLER))
    token = control_token(read_key(config.key_file))
    return Control(config.sites[site].control_url, {"Authorization": f"Bearer {token}"})


def _sites_of(zones: list[str], agents: int) -> dict[str, str]:
    """The zone of each site. The one site of a zone has its name; several have numbers behind it."""
    if agents == 1:
        return {zone: zone for zone in zones}
    sites = {f"{zone}-{number}": zone for zone in zones for number in range(1, agents + 1)}
    if len(sites) < len(zones) * agents or set(sites) & set(zones):
        raise UsageProblem(
            f"{agents} agents in each of {','.join(zones)} would have the same names: choose others."
        )
    return sites


def _check_unchanged(
    layout: Layout, api_port: int | None, zones: list[str] | None, agents: int | None
) -> None:
    configured = load_controller_config(layout.config(CONTROLLER))
    if api_port is not None and api_port != configured.api.port:
        raise UsageProblem(
            f"{layout.root} was set up with API port {configured.api.port}, which is kept: leave "
            f"--api-port out, or change it in {layout.config(CONTROLLER)} and in the sites' controller_urls."
        )
    names = configured.zones.names
    if zones is not None and sorted(zones) != names:
        raise UsageProblem(
            f"{layout.root} was set up with the sites {','.join(names)}, which are kept: "
            "leave --sites out, or take another directory."
        )
    if agents is not None and any(len(configured.zones.sites(zone)) != agents for zone in names):
        raise UsageProblem(
            f"{layout.root} was set up with the agents {','.join(configured.sites)}, which are kept: leave --agents "
            "out; an agent more is a configuration of its own and a [sites.NAME] with its zone in "
            f"{layout.config(CONTROLLER)}."
        )


def _controller_toml(
    layout: Layout, zone_of: dict[str, str], ports: dict[str, list[int]], api_port: int
) -> str:
    database_url = f"sqlite+aiosqlite:///{layout.root / 'controller.db'}"
    lines = [
        f"key_file = {_quoted(layout.key_file)}",
        f"openrc_file = {_quoted(layout.openrc)}",
        f"database_url = {_quoted(database_url)}",
        "",
        "[api]",
        f"host = {_quoted(HOST)}",
        f"port = {api_port}",
    ]
    for name, (nbd, link, control) in ports.items():
        lines += [
            "",
            f"[sites.{name}]",
            f"control_url = {_quoted(f'http://{HOST}:{control}')}",
            f"link_address = {_quoted(f'{HOST}:{link}')}",
            f"nbd_host = {_quoted(HOST)}",
            f"nbd_port = {nbd}",
        ]
        if zone_of[name] != name:
            lines.append(f"zone = {_quoted(zone_of[name])}")
    return "\n".join(lines) + "\n"


def _site_toml(layout: Layout, name: str, ports: list[int], api_port: int) -> str:
    nbd, link, control = ports
    lines = [
        f"site = {_quoted(name)}",
        f"state_dir = {_quoted(layout.data(name))}",
        f"key_file = {_quoted(layout.key_file)}",
        f"controller_urls = [{_quoted(f'http://{HOST}:{api_port}')}]",
        "",
        "[nbd]",
        f"host = {_quoted(HOST)}",
        f"port = {nbd}",
    ]
    unix_socket = layout.data(name) / "nbd.sock"
    # The kernel knows no longer socket paths; hosts then have TCP alone.
    if len(os.fsencode(unix_socket)) <= UNIX_SOCKET_PATH_BYTES_MAX:
        lines.append(f"unix_socket = {_quoted(unix_socket)}")
    for table, port in (("link", link), ("control", control)):
        lines += ["", f"[{table}]", f"host = {_quoted(HOST)}", f"port = {port}"]
    return "\n".join(lines) + "\n"


def _quoted(value: Path | str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


def free_ports(count: int, first: int | None = None) -> list[int]:
    """Different ports that nothing listens on: `first` if it is given, the others by lot.

    :raises UsageProblem: when `first` is taken.
    """
    with contextlib.ExitStack() as held:  # all are held until the last is found, so that they differ
        found: list[int] = []
        if first is not None:
            if not _hold(held, first):
                raise UsageProblem(f"port {first} is in use by another program: give another --api-port.")
            found.append(first)
        for port in random.sample(PORTS, len(PORTS)):
            if len(found) == count:
                return found
            if port != first and _hold(held, port):
                found.append(port)
    raise UsageProblem(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")


def _hold(held: contextlib.ExitStack, port: int) -> bool:
    listener = held.enter_context(socket.socket())
    try:
        listener.bind((HOST, port))
    except OSError:
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    """Write a whole file that only its owner can read; it appears complete or not at all."""
    scratch = path.with_name(path.name + ".new")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
