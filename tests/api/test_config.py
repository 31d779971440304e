"""Settings: what is understood, and that everything else is refused by file and key."""

from pathlib import Path

import pytest

from bilocate.config import (
    ConfigError,
    KeyFileError,
    control_token,
    load_controller_config,
    load_site_config,
    read_key,
)

CONTROLLER = """
key_file = "/d/key"
openrc_file = "/d/openrc"
database_url = "sqlite+aiosqlite:////d/controller.db"
[api]
port = 8776
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
SITE = """
site = "az1"
state_dir = "/d/az1"
key_file = "/d/key"
controller_urls = ["http://127.0.0.1:8776"]
[limits]
connections_max = 12
[timeouts]
heartbeat_seconds = 1
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return file


def test_a_controllers_settings_are_read(tmp_path: Path) -> None:
    config = load_controller_config(write(tmp_path, CONTROLLER))
    assert config.key_file == Path("/d/key")
    assert config.api.port == 8776
    assert config.api.host == "127.0.0.1"
    assert config.sites["az1"].link_target() == ("127.0.0.1", 2)
    assert config.sites["az2"].link_target() == "/d/az2/link.sock"
    assert config.identity.token_seconds == 8 * 3600
    assert config.api.tls_ca_file is None


def test_a_sites_settings_are_read(tmp_path: Path) -> None:
    config = load_site_config(write(tmp_path, SITE))
    assert config.limits.connections_max == 12
    assert config.timeouts.heartbeat_seconds == 1.0
    assert config.timeouts.resume_wait_seconds == 0.25
    assert config.controller_urls == ("http://127.0.0.1:8776",)
    assert config.testing.disk_fault_file is None
    assert not config.nbd.list_exports


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("connections_max = 12", "conections_max = 12", "limits.conections_max", "is not a setting"),
        ("connections_max = 12", "connections_max = '12'", "limits.connections_max", "not a whole number"),
        ("connections_max = 12", "connections_max = true", "limits.connections_max", "not a whole number"),
        ("connections_max = 12", "connections_max = 1.5", "limits.connections_max", "not a whole number"),
        ("connections_max = 12", "connections_max = -1", "limits.connections_max", "negative"),
        ("heartbeat_seconds = 1", "heartbeat_seconds = nan", "timeouts.heartbeat_seconds", "negative"),
        ("heartbeat_seconds = 1", "heartbeat_seconds = 5", "timeouts.heartbeat_timeout_seconds", "longer"),
        ('site = "az1"', "", "site", "is missing"),
        ('site = "az1"', "site = 1", "site", "not a text"),
        ("[timeouts]", "timeouts = 1\n[testing]", "timeouts", "table"),
        ('["http://127.0.0.1:8776"]', "[]", "controller_urls", "at least one"),
        ('["http://127.0.0.1:8776"]', "[1]", "controller_urls", "not a text"),
        ("[limits]", "[nbd]\nhost = '0.0.0.0'\n[limits]", "nbd.host", "allow_plaintext"),
        ("[limits]", "[control]\nport = 65536\n[limits]", "control.port", "no port"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    text = SITE.replace(old, new, 1)
    if key == "timeouts":
        text = "timeouts = 1\n" + SITE.split("[timeouts]")[0]
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_site_config(file)
    assert caught.value.key == key
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_listener_beyond_loopback_needs_tls_or_a_word(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"api\.host"):
        load_controller_config(write(tmp_path, CONTROLLER.replace("[api]", '[api]\nhost = "0.0.0.0"')))
    trusted = CONTROLLER.replace("[api]", '[api]\nhost = "0.0.0.0"\nallow_plaintext = true')
    assert load_controller_config(write(tmp_path, trusted)).api.allow_plaintext
    tls = '[api]\nhost = "::"\ntls_certificate_file = "/c"\ntls_key_file = "/k"'
    assert load_controller_config(write(tmp_path, CONTROLLER.replace("[api]", tls))).api.host == "::"
    half = CONTROLLER.replace("[api]", '[api]\ntls_certificate_file = "/c"')
    with pytest.raises(ConfigError, match="together"):
        load_controller_config(write(tmp_path, half))


def test_two_sites_with_usable_addresses_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two sites"):
        load_controller_config(write(tmp_path, CONTROLLER.split("[sites.az2]")[0]))
    one_zone = CONTROLLER.replace("[sites.az2]", '[sites.az2]\nzone = "az1"')
    with pytest.raises(ConfigError, match="in two zones"):
        load_controller_config(write(tmp_path, one_zone))
    third = CONTROLLER.replace("[sites.az1]", '[sites.az1]\nzone = "az2"') + (
        '[sites.az3]\nzone = "az1"\ncontrol_url = "http://h:1"\nlink_address = "h:2"\nnbd_host = "h"\nnbd_port = 3\n'
    )
    with pytest.raises(ConfigError, match=r"sites\.az1\.zone: az1 is also the name of a zone"):
        load_controller_config(write(tmp_path, third))
    with pytest.raises(ConfigError, match=r"sites\.az1\.link_address"):
        load_controller_config(write(tmp_path, CONTROLLER.replace("127.0.0.1:2", "nowhere")))


def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_site_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        load_site_config(write(tmp_path, "= ="))


def test_the_key_is_read_and_never_from_an_open_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("ab" * 32 + "\n")
    file.chmod(0o600)
    assert read_key(file) == b"\xab" * 32
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="others may read"):
        read_key(file)
    file.chmod(0o600)
    file.write_text("ab" * 31)
    with pytest.raises(KeyFileError, match="64 hexadecimal digits"):
        read_key(file)
    with pytest.raises(KeyFileError, match="can't be read"):
        read_key(tmp_path / "none")


def test_the_control_token_depends_on_the_key_alone() -> None:
    assert control_token(b"k" * 32) == control_token(b"k" * 32)
    assert control_token(b"k" * 32) != control_token(b"l" * 32)
    assert len(control_token(b"k" * 32)) == 64
