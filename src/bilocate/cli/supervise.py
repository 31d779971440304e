"""Start, await and stop the processes of an installation on this machine."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from bilocate.cli.errors import CliError, UsageProblem
from bilocate.cli.installation import Control, api_address, api_trust, control_of
from bilocate.cli.layout import CONTROLLER, Layout
from bilocate.cli.processes import STOP_SECONDS, Daemon

LINK_SECONDS = (
    15.0  # agents dial each other within a second; a secondary that settles a long ledger takes longer
)
READY_SECONDS = 20.0  # a start takes about two seconds; the rest is for busy machines and long ledgers
LOOK_SECONDS = 0.05
PROBE_TIMEOUT_SECONDS = 2.0


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Only one command at a time starts or stops processes of an installation.

    :raises UsageProblem: the state directory can't be made or used.
    """
    try:
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.root.chmod(0o700)
        lock = layout.lock_file.open("w")
    except OSError as error:
        raise UsageProblem(
            f"{layout.root} can't be used: {error.strerror}. Give another --state-dir."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def daemons(layout: Layout) -> list[Daemon]:
    """The controller and every configured site."""
    return [layout.daemon(name) for name in (CONTROLLER, *layout.site_names())]


def start_missing(layout: Layout) -> list[str]:
    """Start what does not run; the names of what was started."""
    missing = [daemon for daemon in daemons(layout) if daemon.pid() is None]
    for daemon in missing:
        daemon.start()
    return [daemon.name for daemon in missing]


def stop_all(layout: Layout, timeout_seconds: float = STOP_SECONDS) -> list[str]:
    """Stop everything, agents first so that they part from each other in order; the names of what ran."""
    return [daemon.name for daemon in reversed(daemons(layout)) if daemon.stop(timeout_seconds)]


def await_ready(
    layout: Layout, timeout_seconds: float = READY_SECONDS, link_seconds: float = LINK_SECONDS
) -> None:
    """Come back when the controller answers and says that its database and all agents are there, and that
    every group that is to replicate has its link.

    :raises CliError: when that takes too long or a process ends; the message names the log to read.
    """
    address = api_address(layout)
    with _prober(layout) as http:
        _await(lambda: _ready_problem(http, address), daemons(layout), timeout_seconds)
        _await(lambda: _link_problem(http, address), daemons(layout), link_seconds)


def await_site(layout: Layout, site: str, timeout_seconds: float = READY_SECONDS) -> None:
    """Come back when a site's agent answers at its control endpoint and the controllers know of it.

    :raises CliError: when that takes too long or the agent ends; the message names the log to read.
    """
    control = control_of(layout, site)
    address = api_address(layout)
    with _prober(layout) as http:
        _await(lambda: _site_problem(http, control, address, site), [layout.daemon(site)], timeout_seconds)


def _prober(layout: Layout) -> httpx.Client:
    return httpx.Client(timeout=PROBE_TIMEOUT_SECONDS, trust_env=False, verify=api_trust(layout))


def _await(problem: Callable[[], str], watched: list[Daemon], timeout_seconds: float) -> None:
    """Ask for the problem until there is none."""
    give_up = time.monotonic() + timeout_seconds
    while found := problem():
        for daemon in watched:
            if daemon.pid() is None:
                raise CliError(
                    f"{daemon.name} has ended. Its log, {daemon.log_file}, says:\n{daemon.last_words()}"
                )
        if time.monotonic() > give_up:
            logs = ", ".join(str(daemon.log_file) for daemon in watched)
            raise CliError(f"not ready after {timeout_seconds:g} s: {found}. See {logs}.")
        time.sleep(LOOK_SECONDS)


def _ready_problem(http: httpx.Client, address: str) -> str:
    try:
        response = http.get(f"{address}/readyz")
    except httpx.TransportError as error:
        return _no_answer("the controller", address, error)
    return "" if response.status_code == 200 else f"the controller says {response.text.strip()}"


def _link_problem(http: httpx.Client, address: str) -> str:
    try:
        unlinked = http.get(f"{address}/readyz").json().get("unlinked_groups", [])
    except (httpx.TransportError, ValueError) as error:
        return _no_answer("the controller", address, error)
    if not unlinked:
        return ""
    return (
        f"everything runs, but the sites have no link for {', '.join(unlinked)}: `bilocate status` tells more"
    )


def _site_problem(http: httpx.Client, control: Control, address: str, site: str) -> str:
    try:
        response = http.get(f"{control.url}/v1/health", headers=control.headers)
        health = response.json()
    except (httpx.TransportError, ValueError) as error:
        return _no_answer(f"the agent of {site}", control.url, error)
    if response.status_code != 200 or health.get("site") != site:
        return f"at {control.url} something else answers than the agent of {site} ({response.status_code})"
    if not health.get("announced"):
        return f"the agent of {site} has not reached a controller yet"
    return _unknown_to_controller(http, address, site)


def _unknown_to_controller(http: httpx.Client, address: str, site: str) -> str:
    """Empty when the controller has had an answer of the agent; other sites may be away."""
    try:
        ready = http.get(f"{address}/readyz").json()
    except (httpx.TransportError, ValueError) as error:
        return f"{_no_answer('the controller', address, error)}, so nobody knows of the agent of {site}"
    told = ready.get("agents", {}).get(site)
    return "" if told == "ok" else f"the controller says: {told}"


def _no_answer(who: str, address: str, error: Exception) -> str:
    """With the reason: a certificate that is not trusted looks like a process that is not there."""
    return f"{who} does not answer at {address} ({str(error) or type(error).__name__})"
