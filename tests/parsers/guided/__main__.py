"""`python -m tests.parsers.guided PARSER [--seconds N]`: bytes that are drawn to reach new branches of one parser.

Needs atheris, which is no dependency of the project: `make fuzz` makes an environment for it. What it finds is
written to the present directory as crash-..., and becomes a test beside tests/parsers.
"""

import argparse
import contextlib
import json
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bilocate"], enable_loader_override=False):
    from bilocate.api.bodies import parse_object
    from bilocate.api.codes import Problem
    from bilocate.config import ConfigError, load_controller_config, load_site_config
    from bilocate.replication.frames import (
        Frame,
        Hello,
        Kind,
        MalformedFrame,
        Welcome,
        decode_suspects,
        encode_json,
    )
    from bilocate.replication.wanted import MalformedWanted, Wanted
    from bilocate.site.ledger.wal import check_wal
    from bilocate.site.link.codec import frame_receiver
    from bilocate.site.link.handshake import (
        Claim,
        DialerHandshake,
        HandshakeRefused,
        ListenerHandshake,
        decode,
    )
    from bilocate.site.link.settings import LinkSettings
    from bilocate.site.nbd.handshake import Handshake
    from bilocate.site.nbd.limits import Limits

SMALL = LinkSettings(receive_bytes=2048, own_payload_bytes=512)
KEY = bytes(32)


class NoExports:
    """An export source that has none."""

    def find(self, export_name: str) -> None:
        """None."""

    def listed(self) -> list[str]:
        """Nothing."""
        return []


def nbd(content: bytes) -> None:
    """A client's negotiation."""
    handshake, left = Handshake(NoExports(), Limits()), memoryview(content)
    while handshake.outcome is None:
        consumed, _ = handshake.receive(left)
        if not consumed:
            return
        left = left[consumed:]


def frames(content: bytes) -> None:
    """A link's stream behind the handshake."""
    receiver = frame_receiver(SMALL)
    while content and receiver.malformed is None:
        room = receiver.room()
        count = min(len(room), len(content))
        room[:count] = content[:count]
        receiver.received(count)
        content = content[count:]
        for frame in receiver.frames():
            if not isinstance(frame, Frame):
                continue  # a request for the disk, which was checked as it was decoded
            for read in (Hello.from_frame, Welcome.from_frame, lambda each: list(decode_suspects(each, 100))):
                with contextlib.suppress(MalformedFrame):
                    read(frame)


def link(content: bytes) -> None:
    """A link's handshake."""
    listener = ListenerHandshake(KEY, "az2")
    with contextlib.suppress(HandshakeRefused):
        while (message := decode(memoryview(content))) is not None:
            listener.take(message)
            content = content[message.size :]


def body(content: bytes) -> None:
    """The body of a call."""
    with contextlib.suppress(Problem):
        parse_object(content)


def wanted(content: bytes) -> None:
    """What a controller puts to an agent, as the ledger keeps it."""
    with contextlib.suppress(MalformedWanted, UnicodeDecodeError):
        Wanted.from_text(content.decode())


def wal(content: bytes) -> None:
    """The ledger's log."""
    for rebooted in (False, True):
        check_wal(content, rebooted)


def config(content: bytes) -> None:
    """Both kinds of settings."""
    file = Path(tempfile.gettempdir(), "fuzzed.toml")
    file.write_bytes(content)
    for load in (load_controller_config, load_site_config):
        with contextlib.suppress(ConfigError):
            load(file)


def _begin(name: str) -> bytes:
    """Something right, from which drawing begins: nobody guesses a magic or a key's name."""
    hello = {"session_id": "s", "epoch": 1, "site": "az1", "instance": "i", "pairs": ["p"], "sizes": [1]}
    member = {"pair_id": "p", "volume_id": "v", "size_bytes": 1}
    peer = {"site": "az2", "address": "x"}
    put = {"epoch": 1, "revision": 0, "role": "primary", "peer": peer, "paused": False, "members": [member]}
    go = struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">IIIH", 7, 10, 4, 0) + b"name"
    return {
        "nbd": go,
        "frames": b"".join(encode_json(Kind.HELLO, hello)),
        "link": DialerHandshake(KEY, Claim("az1", "az2", "s")).start(),
        "body": b'{"a": [1, 2.5, null], "b": {"c": "d"}}',
        "wanted": json.dumps(put).encode(),
        "wal": _sqlite_log(),
        "config": b'site = "az1"\nstate_dir = "/d"\nkey_file = "/k"\ncontroller_urls = ["http://c"]\n[nbd]\nport = 1\n',
    }[name]


def _sqlite_log() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "db")
        db = sqlite3.connect(file, isolation_level=None)
        for statement in ("PRAGMA page_size = 4096", "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)"):
            db.execute(statement)
        log = Path(f"{file}-wal").read_bytes()
        db.close()
    return log


PARSERS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (nbd, frames, link, body, wanted, wal, config)
}


def main() -> None:
    """Until something other than the documented error is raised, or the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.parsers.guided", description=__doc__)
    parser.add_argument("parser", choices=sorted(PARSERS))
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    flags = [f"-max_total_time={args.seconds}", "-max_len=9000", "-rss_limit_mb=1024", "-timeout=10"]
    corpus = Path(
        "build", "fuzz", "corpus", args.parser
    )  # what reached something new is kept for the next time
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "right").write_bytes(_begin(args.parser))
    atheris.Setup([sys.argv[0], *flags, str(corpus)], PARSERS[args.parser])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
