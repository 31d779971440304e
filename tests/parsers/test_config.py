"""Any text is settings or a ConfigError, any file a key or a KeyFileError; nothing else ever comes of them."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers.values import cut_up, property_test

from bilocate.config import (
    KEY_BYTES,
    ConfigError,
    ControllerConfig,
    KeyFileError,
    SiteConfig,
    load_controller_config,
    load_site_config,
    read_key,
)

CONTROLLER = b"""
key_file = "/d/key"
openrc_file = "/d/openrc"
database_url = "sqlite+aiosqlite:////d/controller.db"
[api]
port = 8776
host = "127.0.0.1"
[limits]
body_seconds = 10.0
requests_max = 1000
[sites.az1]
control_url = "http://127.0.0.1:1"
link_address = "127.0.0.1:2"
nbd_host = "127.0.0.1"
nbd_port = 3
[sites.az2]
control_url = "http://127.0.0.1:4"
link_address = "/d/az2/link.sock"
nbd_host = "127.0.0.1"
nbd_port = 6
"""
SITE = b"""
site = "az1"
state_dir = "/d/az1"
key_file = "/d/key"
controller_urls = ["http://127.0.0.1:8776"]
[limits]
connections_max = 12
[timeouts]
heartbeat_seconds = 1
"""
DEEP, LONG = 3000, 5000
HUGE = b"9" * LONG
PIECES = (
    b"= nan\n",
    b"= inf\n",
    b"= -1\n",
    b"= true\n",
    b"= 1979-05-27T07:32:00Z\n",
    b"= 2024-13-45\n",
    b"= " + HUGE + b"\n",
    b"= " + HUGE[:400] + b"\n",
    b"= " + b"[" * DEEP + b"]" * DEEP + b"\n",
    b"= {}\n",
    b'= "\\u0000"\n',
    b'= "127.0.0.1:' + HUGE + b'"\n',
    b'= "host:\xd9\xa3"\n',
    b"[[sites]]\n",
    b"[sites]\n",
    b"\r",
    b"\xff",
)


def load(read: Any, content: bytes) -> Any:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "settings.toml")
        file.write_bytes(content)
        file.chmod(0o600)
        return read(file)


@property_test(100)
@given(cut_up(CONTROLLER, PIECES) | st.binary(max_size=60))
def test_any_bytes_are_a_controllers_settings_or_an_error(content: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(load_controller_config, content), ControllerConfig)


@property_test(100)
@given(cut_up(SITE, PIECES) | st.binary(max_size=60))
def test_any_bytes_are_a_sites_settings_or_an_error(content: bytes) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load(load_site_config, content), SiteConfig)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece[:12].decode(errors="replace").strip())
@pytest.mark.parametrize("setting", [b"heartbeat_seconds ", b"connections_max "])
def test_what_is_no_number_is_refused(setting: bytes, piece: bytes) -> None:
    lines = SITE.splitlines(keepends=True)
    content = b"".join(setting + piece if line.startswith(setting) else line for line in lines)
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        load(load_site_config, content)


@property_test(60)
@given(
    st.binary(max_size=80)
    | st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES).map(lambda key: key.hex().encode())
)
def test_any_bytes_are_a_key_or_an_error(content: bytes) -> None:
    try:
        key = load(read_key, content)
    except KeyFileError:
        return
    assert len(key) == KEY_BYTES
    assert key.hex() == content.decode().strip().replace(" ", "").lower()
