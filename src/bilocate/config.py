"""Every setting of the controller and of a site's agent, with its unit and why it has the value it has.

Settings are read from one TOML file per process into frozen dataclasses. A key that is not known, of the
wrong type or missing is an error that names the file and the key: a misspelt limit must not be a limit that
is not there. What has a default may be left out.
"""

import hmac
import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from bilocate.domain.errors import BilocateError
from bilocate.domain.zones import Zones

MIB = 1024 * 1024
_NUMBER_MAX = 2**53  # what every number can be exactly
KEY_BYTES = 32  # as long as the output of the hash it keys
PROXY_SECRET_CHARACTERS_MIN = 16

T = TypeVar("T")


class ConfigError(BilocateError):
    """A configuration file can't be used; the message names the file, the key and what is expected."""

    def __init__(self, file: Path, key: str, problem: str) -> None:
        self.file, self.key = file, key
        super().__init__(f"{file}: {f'{key}: ' if key else ''}{problem}")


class KeyFileError(BilocateError):
    """A file with a key or another secret can't be used."""

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"key file {file}: {problem}")


# --- listeners ---


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a TCP listener waits. Port 0 takes a free one."""

    host: str = "127.0.0.1"  # loopback: nothing is offered to a network unless someone says so
    port: int = 0
    # Beyond loopback a listener needs TLS, or this as a word that the network is trusted.
    allow_plaintext: bool = False


@dataclass(frozen=True, slots=True)
class ApiListener(Listener):
    """The HTTP API of a controller. `public_url` is what the catalogue tells clients, without a path."""

    public_url: str = ""  # empty: made of host and port; behind a proxy it must be given
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None  # 0600
    # The CA that signed it, if it is one of your own: `bilocate up` trusts it, and the openrc names it as OS_CACERT.
    tls_ca_file: Path | None = None
    # Where the API is to be reached only through a proxy that authenticates its users itself: a file with what that
    # proxy sends as X-Bilocate-Proxy (0600). Whoever comes without it is sent to the proxy (407).
    proxy_secret_file: Path | None = None


@dataclass(frozen=True, slots=True)
class NbdListener(Listener):
    """Where hosts reach an agent's volumes. Empty `unix_socket`: TCP only."""

    unix_socket: str = ""
    # Export names are secrets (who knows one can write), so the server does not list them.
    list_exports: bool = False


@dataclass(frozen=True, slots=True)
class LinkListener(Listener):
    """Where other sites' agents dial in. With `unix_socket` there is no TCP listener."""

    unix_socket: str = ""


# --- the controller ---


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """Where a controller, other sites and hosts reach one site's agent."""

    control_url: str  # http://host:port of its control endpoint
    link_address: str  # "host:port", or the path of a unix socket; what the other site dials
    nbd_host: str  # what hosts are told to dial
    nbd_port: int
    # The availability zone that it is in, where that has several sites; empty: one of its own, of the same name.
    zone: str = ""

    def link_target(self) -> str | tuple[str, int]:
        """`link_address` as a path, or as (host, port)."""
        if self.link_address.startswith("/"):
            return self.link_address
        host, _, port = self.link_address.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class KeystoneSettings:
    """A Keystone that knows the callers, and the user of it by which the controller looks at their tokens."""

    auth_url: str  # of version 3, as https://HOST:5000/v3
    password_file: Path  # 0600
    username: str = "bilocate"  # with a role by which it may look at others' tokens: service, or admin
    user_domain: str = "Default"
    project: str = "service"
    project_domain: str = "Default"
    ca_file: Path | None = None  # whom an https address is trusted by; None: those usually trusted
    # What was told of a token holds so long: a revoked one is refused after that at the latest. 0: each call asks.
    cache_seconds: float = 10.0
    timeout_seconds: float = 5.0  # of all that is asked about one token; then its caller gets 503
    # Tokens and the password cross the connection: beyond loopback it needs https, or this as a word.
    allow_plaintext: bool = False


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """The built-in identity service, or the Keystone that takes its place."""

    keystone: KeystoneSettings | None = None
    token_seconds: float = 8 * 3600  # a working day; a client takes a new one by itself
    password_checks_max: int = 4  # at once: each takes 64 MiB and a core for a tenth of a second
    password_checks_waiting_max: int = 64  # more would only wait longer than a client does
    # Wrong passwords of one user: so many are free, then each makes the next attempt wait, twice as long every time.
    lockout_free_failures: int = 5  # people mistype
    lockout_seconds_min: float = 1.0
    lockout_seconds_max: float = 60.0  # some 1500 guesses a day; longer would be a way to keep the user out
    lockout_forget_seconds: float = 900.0  # after the last wrong one
    admin_username: str = "admin"  # the first user, made at first start
    admin_project: str = "admin"


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Bounds of one HTTP request, so that no client can hold or fill the controller."""

    head_seconds: float = (
        10.0  # for the head of a request, from its first byte, and of a connection's first one
    )
    idle_connections_max: int = 1000  # in no request; of more the one that was so longest ends
    body_bytes_max: int = MIB  # the largest true request (a group of 1000 pairs) takes 40 KiB
    body_seconds: float = 10.0  # from the headers to the end of the body; a slower sender gets 408
    # Of one token at one controller; 0 is no bound. More than two cores can answer: it bounds who runs wild.
    token_requests_per_second: float = 500.0
    token_requests_burst: int = 2000  # at once, after a pause
    requests_max: int = 1000  # under way at once; more get 503
    shutdown_seconds: float = 5.0  # for requests under way when the controller is told to stop
    retry_after_seconds: int = 2  # told with every 503: a restart takes about a second
    show_age_seconds: float = 0.2  # a show asks the agents anew when the last report is older
    # How long a show waits for that, then it tells what it knows: a site that has just fallen silent must not
    # delay whoever waits for a failover from it.
    show_wait_seconds: float = 0.2


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """One controller."""

    key_file: Path
    openrc_file: Path
    database_url: str  # sqlite+aiosqlite:///FILE or postgresql+psycopg://...
    sites: Mapping[str, SiteAddress]
    api: ApiListener = field(default_factory=ApiListener)
    region: str = "RegionOne"
    audit_file: Path | None = None  # who called what, a JSON object per line; none: among the other log lines
    controller_name: str = (
        "controller"  # different for each controller on one database, and kept over restarts
    )
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    limits: ApiLimits = field(default_factory=ApiLimits)

    @property
    def zones(self) -> Zones:
        """Which availability zone each site is in."""
        return Zones({name: site.zone or name for name, site in self.sites.items()})


# --- a site's agent ---


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """Bounds of what an agent keeps in memory (rule 27). Past one it stops reading; it does not grow."""

    connections_max: int = 1024  # hosts' NBD connections; a queue and two buffers each
    unanswered_bytes_max: int = 64 * MIB  # per session: what a resume may have to send again
    intents_max: int = 4096  # extents per session that stay marked: 16 GiB of working set pays once
    nbd_request_bytes_max: int = 32 * MIB  # what qemu and the kernel send at most
    resync_window_bytes: int = 8 * MIB  # chunks under way in a resync; fills a link of 1 GB/s at 8 ms
    # What a resync compares and copies, of each group; 0: as fast as it goes beside hosts' writes.
    resync_bytes_per_second: int = 0


@dataclass(frozen=True, slots=True)
class SiteTimeouts:
    """Times of an agent, in seconds."""

    heartbeat_seconds: float = 0.25  # an idle link is pinged so often
    heartbeat_timeout_seconds: float = 1.5  # silence that makes a link lost; hosts stall as long
    resume_wait_seconds: float = 0.25  # after a trip, for the link to come back, before a permit is asked for
    restart_wait_seconds: float = 2.0  # a restarted primary waits for its secondary, then asks for a permit
    arbiter_timeout_seconds: float = 2.0  # of one call; then the row is unknown
    arbiter_retry_seconds: float = 0.5  # between calls that were not answered
    quiesce_timeout_seconds: float = 30.0  # hosts are held as long in a switchover, at most
    # While hosts' requests come one by one, the next is awaited awake for so long (`site/busy_poll.py`); 0: never. Let
    # it be longer than a write takes on a fast link, at most.
    busy_poll_seconds: float = 0.0002
    resync_retry_seconds: float = 1.0  # after a resync or a pull that failed; doubles up to half a minute


@dataclass(frozen=True, slots=True)
class SiteTesting:
    """For tests alone: what can't be had otherwise without breaking the machine."""

    disk_fault_file: Path | None = None  # tells the disks which operations fail
    boot_id: str = ""  # another one than at the last start is a crash of the machine; empty: the kernel's


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """One site's agent. `controller_urls` are tried in turn."""

    site: str
    state_dir: Path
    key_file: Path
    controller_urls: tuple[str, ...]
    controller_ca_file: Path | None = None  # the CA of https controllers; without one those usually trusted
    # Directories, and single devices or files, that an admin may adopt as volumes: none unless someone says so. Of
    # devices, names that stay the same over a restart (/dev/disk/by-id/..., /dev/mapper/...).
    adopt_from: tuple[Path, ...] = ()
    nbd: NbdListener = field(default_factory=NbdListener)
    link: LinkListener = field(default_factory=LinkListener)
    control: Listener = field(default_factory=Listener)
    limits: SiteLimits = field(default_factory=SiteLimits)
    timeouts: SiteTimeouts = field(default_factory=SiteTimeouts)
    testing: SiteTesting = field(default_factory=SiteTesting)


# --- reading ---


def load_controller_config(file: Path) -> ControllerConfig:
    """The controller's settings.

    :raises ConfigError: when the file can't be read, or anything in it is not understood or not allowed.
    """
    config = _parse(file, ControllerConfig)
    _check_listener(file, "api", config.api, config.api.tls_certificate_file is not None)
    if (config.api.tls_certificate_file is None) != (config.api.tls_key_file is None):
        raise ConfigError(
            file, "api", "tls_certificate_file and tls_key_file are given together or not at all"
        )
    if config.identity.keystone is not None:
        _check_keystone(file, config.identity.keystone)
    _check_zones(file, config.zones)
    for name, site in config.sites.items():
        _check_link_address(file, f"sites.{name}.link_address", site)
    return config


def load_site_config(file: Path) -> SiteConfig:
    """A site agent's settings.

    :raises ConfigError: as above.
    """
    config = _parse(file, SiteConfig)
    for name, listener in (("nbd", config.nbd), ("link", config.link), ("control", config.control)):
        _check_listener(file, name, listener, encrypted=False)
    if not config.controller_urls:
        raise ConfigError(file, "controller_urls", "at least one controller's address is needed")
    timeouts = config.timeouts
    if timeouts.heartbeat_timeout_seconds <= timeouts.heartbeat_seconds:
        raise ConfigError(file, "timeouts.heartbeat_timeout_seconds", "must be longer than heartbeat_seconds")
    return config


def read_key(file: Path) -> bytes:
    """The installation key: 32 random bytes, kept as hex in a file that only its owner can read.

    :raises KeyFileError: when it can't be read, is open to others or holds something else.
    """
    text = _read_private(file)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyFileError(file, f"must hold {KEY_BYTES} bytes as {2 * KEY_BYTES} hexadecimal digits")
    return key


def read_proxy_secret(file: Path) -> str:
    """What the authenticating proxy proves itself with: one line, in a file that only its owner can read.

    :raises KeyFileError: when it can't be read, is open to others or holds less than 16 characters.
    """
    text = _read_private(file)
    if len(text) < PROXY_SECRET_CHARACTERS_MIN or not text.isascii() or not text.isprintable():
        raise KeyFileError(
            file, f"must hold one line of at least {PROXY_SECRET_CHARACTERS_MIN} printable ASCII characters"
        )
    return text


def read_secret(file: Path) -> str:
    """A password: the text of a file that only its owner can read, without the white space around it.

    :raises KeyFileError: when it can't be read, is open to others or is empty.
    """
    text = _read_private(file)
    if not text:
        raise KeyFileError(file, "is empty")
    return text


def control_token(key: bytes) -> str:
    """The bearer token of control and arbiter calls. The key itself never crosses a connection."""
    return hmac.digest(key, b"bilocate control v1", "sha256").hex()


def is_loopback(host: str) -> bool:
    """Whether a listener on `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_private(file: Path) -> None:
    """:raises KeyFileError: the file can't be looked at, or others may read it."""
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise KeyFileError(file, f"can't be read ({error})") from error
    if mode & 0o077:
        raise KeyFileError(file, "others may read it: chmod 600 it, and make a new key if they did")


def _read_private(file: Path) -> str:
    require_private(file)
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyFileError(file, f"can't be read ({error})") from error


def _check_listener(file: Path, name: str, listener: Listener, encrypted: bool) -> None:
    if not 0 <= listener.port <= 65535:
        raise ConfigError(file, f"{name}.port", f"{listener.port} is no port: 0 to 65535")
    if encrypted or listener.allow_plaintext or is_loopback(listener.host):
        return
    raise ConfigError(
        file,
        f"{name}.host",
        f"{listener.host} can be reached from other machines and this listener is not encrypted: listen on "
        "127.0.0.1, configure TLS where there is such a setting, or say that the network is trusted with "
        "allow_plaintext = true",
    )


def _check_keystone(file: Path, keystone: KeystoneSettings) -> None:
    url, key = urlsplit(keystone.auth_url), "identity.keystone.auth_url"
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(file, key, f"{keystone.auth_url!r} is no address such as https://HOST:5000/v3")
    if url.scheme == "http" and not is_loopback(url.hostname) and not keystone.allow_plaintext:
        raise ConfigError(
            file,
            key,
            "tokens and the password would cross a network unencrypted: give an https address, or say that the "
            "network is trusted with allow_plaintext = true",
        )


def _check_zones(file: Path, zones: Zones) -> None:
    if len(zones.names) < 2:
        raise ConfigError(
            file, "sites", "at least two sites in two zones are needed: [sites.NAME] with its addresses"
        )
    for site, zone in zones.by_site.items():
        if site in zones.names and zone != site:
            raise ConfigError(
                file, f"sites.{site}.zone", f"{site} is also the name of a zone, so it can't be in {zone}"
            )


def _check_link_address(file: Path, key: str, site: SiteAddress) -> None:
    if site.link_address.startswith("/"):
        return
    host, colon, port = site.link_address.rpartition(":")
    if not (
        host and colon and len(port) <= 5 and port.isascii() and port.isdecimal() and 0 < int(port) <= 65535
    ):
        raise ConfigError(file, key, f"{site.link_address!r} must be HOST:PORT or the path of a unix socket")


def _parse(file: Path, kind: type[T]) -> T:
    try:
        values = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file, "", f"can't be read ({error})") from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, a thousand brackets
        raise ConfigError(file, "", f"is not TOML ({error})") from error
    return _table(file, "", kind, values)


def _table(file: Path, prefix: str, kind: type[T], values: Any) -> T:
    """A dataclass from a TOML table, by the types its fields are declared with."""
    if not isinstance(values, dict):
        raise ConfigError(file, prefix.rstrip("."), "must be a table")
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(
                file, f"{prefix}{key}", f"is not a setting; there is {', '.join(sorted(known))}"
            )
    made: dict[str, Any] = {}
    for name, each in known.items():
        if name in values:
            made[name] = _value(file, f"{prefix}{name}", hints[name], values[name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError(file, f"{prefix}{name}", "is missing")
    return kind(**made)


def _value(file: Path, key: str, kind: Any, value: Any) -> Any:
    """One value by its declared type; `X | None` and the containers used above are all there is."""
    if get_origin(kind) in (UnionType, Union):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if is_dataclass(kind) and isinstance(kind, type):
        return _table(file, f"{key}.", kind, value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_value(file, key, get_args(kind)[0], each) for each in value)
    if (
        isinstance(get_origin(kind), type)
        and issubclass(get_origin(kind), Mapping)
        and isinstance(value, dict)
    ):
        inner = get_args(kind)[1]
        return {name: _value(file, f"{key}.{name}", inner, each) for name, each in value.items()}
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(file, key, "must not hold a NUL character")
    if kind is Path and isinstance(value, str):
        return Path(value)
    # TOML's true is Python's bool, which is an int too: not here.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if (kind is float and number) or (kind is int and number and isinstance(value, int)):
        return kind(_within_reason(file, key, value))
    if kind in (str, bool) and isinstance(value, kind):
        return value
    raise ConfigError(file, key, f"{value!r} is not {_SPOKEN.get(kind, 'of the right kind')}")


def _within_reason(file: Path, key: str, value: float) -> float:
    if not 0 <= value <= _NUMBER_MAX:  # nor NaN
        raise ConfigError(file, key, f"{value} is negative, or more than any setting may be")
    return value


_SPOKEN = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}
