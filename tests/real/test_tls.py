"""TLS on the API, with real processes and a CA of our own: agents, command line and other clients verify it."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.real.harness.certificates import Authority
from tests.real.harness.installation import SITES, Installation
from tests.real.harness.protected import protect

from bilocate.cli.errors import CliError
from bilocate.cli.layout import CONTROLLER
from bilocate.cli.supervise import await_ready
from bilocate.config import load_controller_config

MakeInstallation = Callable[..., Installation]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.new(tmp_path)


def with_tls(installation: Installation, authority: Authority) -> None:
    """Configure TLS before the first start."""
    certificate, key = authority.issue("api")
    lines = (
        f'tls_certificate_file = "{certificate}"\ntls_key_file = "{key}"\ntls_ca_file = "{authority.file}"\n'
    )
    api = load_controller_config(installation.layout.config(CONTROLLER)).api
    installation.replace(CONTROLLER, "[api]\n", f"[api]\n{lines}")
    for site in SITES:
        urls = f'["http://{api.host}:{api.port}"]'
        trusted = f'["https://{api.host}:{api.port}"]\ncontroller_ca_file = "{authority.file}"'
        installation.replace(site, urls, trusted)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_agents_clients_and_the_command_line_speak_tls(
    make_installation: MakeInstallation, authority: Authority, tmp_path: Path
) -> None:
    installation = make_installation(up=False)
    with_tls(installation, authority)
    installation.up()
    group = protect(installation)  # the arbiter's calls go over it too
    group.wait_in_step()
    assert installation.api.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(authority.file))
    versions = httpx.get(f"{installation.api}/v3/", verify=trusting, trust_env=False).json()
    assert versions["versions"][0]["links"][0]["href"].startswith(installation.api)
    openrc = (installation.layout.root / "openrc").read_text()
    assert f"OS_AUTH_URL={installation.api}/identity/v3" in openrc
    assert f"OS_CACERT={authority.file}" in openrc
    command = [sys.executable, "-m", "bilocate.cli", "status", "--state-dir", str(installation.layout.root)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert "az1" in told
    # Whoever trusts someone else gets nowhere, and neither does who speaks no TLS, or an old one.
    stranger = Authority.new(tmp_path, "stranger")
    for context in (True, ssl.create_default_context(cafile=str(stranger.file))):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{installation.api}/healthz", verify=context, trust_env=False)
    old = ssl.create_default_context(cafile=str(authority.file))
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{installation.api}/healthz", verify=old, trust_env=False)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{installation.api.replace('https', 'http')}/healthz", trust_env=False)
    assert httpx.get(f"{installation.api}/healthz", verify=trusting, trust_env=False).status_code == 200
    # Whoever starts it is told why nobody answers.
    installation.replace(CONTROLLER, str(authority.file), str(stranger.file))
    with pytest.raises(
        CliError, match=r"the controller does not answer at https:.*CERTIFICATE_VERIFY_FAILED"
    ):
        await_ready(installation.layout, timeout_seconds=0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("mode", "chmod 600"),
        ("other key", "can't be used"),
        ("no certificate", "can't be used"),
        ("plain", "allow_plaintext = true"),
    ],
)
def test_what_would_be_unsafe_does_not_start(
    make_installation: MakeInstallation, authority: Authority, spoil: str, said: str
) -> None:
    installation = make_installation(up=False)
    with_tls(installation, authority)
    api = load_controller_config(installation.layout.config(CONTROLLER)).api
    assert api.tls_key_file is not None
    assert api.tls_certificate_file is not None
    if spoil == "mode":
        api.tls_key_file.chmod(0o640)
    elif spoil == "other key":
        api.tls_key_file.write_bytes(authority.issue("other")[1].read_bytes())
    elif spoil == "no certificate":
        api.tls_certificate_file.write_text("none")
    else:
        text = installation.layout.config(CONTROLLER).read_text()
        lines = [line for line in text.splitlines() if not line.startswith("tls_")]
        changed = "\n".join(lines).replace('[api]\nhost = "127.0.0.1"', '[api]\nhost = "0.0.0.0"')
        installation.layout.config(CONTROLLER).write_text(changed)
    command = [sys.executable, "-m", "bilocate.cli", "controller", "--config"]
    command.append(str(installation.layout.config(CONTROLLER)))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, env=dict(os.environ))
    assert ended.returncode != 0
    assert said in " ".join(ended.stderr.split()), ended.stderr
    assert "Traceback" not in ended.stderr
