"""What two agents say to each other before the first frame: pure, bytes in and bytes out.

Dialer                                   Listener
HELLO      nonce, names, session     →
                                     ←    CHALLENGE  nonce, name, its proof
PROOF      its proof                 →
                                     ←    ACCEPTED
Either side says REFUSED, with the reason, instead of any message, and closes.

A proof is an HMAC-SHA256 under the installation's key over both first messages, so over both nonces, all
names, the session and the version; and over the role of who proves it, so that a side's own proof sent back
to it proves nothing. The shape of the envelope and of REFUSED is the same in all versions: so a side that
speaks another one can say so.
"""

import hmac
import secrets
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as StructError

from bilocate.domain.errors import BilocateError

VERSION = 1
MAGIC = b"BILOLINK"
BODY_BYTES_MAX = 1024

_ENVELOPE = Struct(">8sHBH")  # magic, version, kind, length of the body
_NONCE_BYTES = 32
_PROOF_BYTES = 32
_NAME_BYTES_MAX = 255
_REASON_BYTES_MAX = 200


class Kind(IntEnum):
    """The messages."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    ACCEPTED = 4
    REFUSED = 5


class HandshakeRefused(BilocateError):
    """The link was refused; `by_peer`: by the other side. Nothing of the session was touched."""

    def __init__(self, reason: str, by_peer: bool = False) -> None:
        self.reason = reason
        self.by_peer = by_peer
        super().__init__(f"the link was refused{' by the peer' if by_peer else ''}: {reason}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a dialer says it is and wants."""

    site: str
    peer_site: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and how many bytes it took."""

    kind: Kind
    body: bytes
    size: int


def encode(kind: Kind, body: bytes = b"") -> bytes:
    """A message as it goes on the wire."""
    return _ENVELOPE.pack(MAGIC, VERSION, kind, len(body)) + body


def encode_refusal(reason: str) -> bytes:
    """REFUSED with a short reason."""
    return encode(Kind.REFUSED, reason.encode()[:_REASON_BYTES_MAX])


def decode(received: memoryview) -> Message | None:
    """The first message in what was received, or None while it is not whole.

    :raises HandshakeRefused: it is none, too long, of another version, or the peer's refusal.
    """
    head = bytes(received[: _ENVELOPE.size])
    if not MAGIC.startswith(head[: len(MAGIC)]):
        raise HandshakeRefused("this is no link of an agent")
    if len(head) < _ENVELOPE.size:
        return None
    _, version, number, length = _ENVELOPE.unpack(head)
    if length > BODY_BYTES_MAX:
        raise HandshakeRefused(f"a message of {length} bytes is too long for a handshake")
    if version != VERSION and number != Kind.REFUSED:
        raise HandshakeRefused(f"protocol version {version} on the link, this agent speaks {VERSION}")
    size = _ENVELOPE.size + length
    if len(received) < size:
        return None
    body = bytes(received[_ENVELOPE.size : size])
    if number == Kind.REFUSED:
        raise HandshakeRefused(_readable(body), by_peer=True)
    try:
        return Message(Kind(number), body, size)
    except ValueError:
        raise HandshakeRefused(f"message kind {number} is unknown") from None


class DialerHandshake:
    """The dialling side."""

    def __init__(self, key: bytes, claim: Claim) -> None:
        self._key = key
        self._claim = claim
        names = b"".join(_name(text) for text in (claim.site, claim.peer_site, claim.session_id))
        self._hello = encode(Kind.HELLO, secrets.token_bytes(_NONCE_BYTES) + names)
        self._awaited = Kind.CHALLENGE
        self.done = False

    def start(self) -> bytes:
        """What to send first."""
        return self._hello

    def take(self, message: Message) -> bytes:
        """What to send in answer; `done` is set when frames follow.

        :raises HandshakeRefused: the message is not the awaited one, or proves nothing.
        """
        _expect(message, self._awaited)
        if message.kind is Kind.ACCEPTED:
            self.done = True
            return b""
        said, proof = message.body[:-_PROOF_BYTES], message.body[-_PROOF_BYTES:]
        if not hmac.compare_digest(proof, _proof(self._key, b"listener", self._hello, said)):
            raise HandshakeRefused(_WRONG_KEY)
        (site,) = _names(said[_NONCE_BYTES:], 1)
        if site != self._claim.peer_site:
            raise HandshakeRefused(f"site {site} answers, {self._claim.peer_site} was dialled")
        self._awaited = Kind.ACCEPTED
        return encode(Kind.PROOF, _proof(self._key, b"dialer", self._hello, said))


class ListenerHandshake:
    """The listening side. `claim` is believed only when `done` is set."""

    def __init__(self, key: bytes, site: str) -> None:
        self._key = key
        self._site = site
        self._hello = b""
        self._said = secrets.token_bytes(_NONCE_BYTES) + _name(site)
        self._awaited = Kind.HELLO
        self.claim = Claim("", "", "")
        self.done = False

    def take(self, message: Message) -> bytes:
        """What to send in answer. When `done` is set, the caller sends ACCEPTED, or a refusal of its own.

        :raises HandshakeRefused: the message is not the awaited one, or proves nothing.
        """
        _expect(message, self._awaited)
        if message.kind is Kind.HELLO:
            self._hello = encode(Kind.HELLO, message.body)
            self.claim = Claim(*_names(message.body[_NONCE_BYTES:], 3))
            self._awaited = Kind.PROOF
            return encode(
                Kind.CHALLENGE, self._said + _proof(self._key, b"listener", self._hello, self._said)
            )
        if not hmac.compare_digest(message.body, _proof(self._key, b"dialer", self._hello, self._said)):
            raise HandshakeRefused(_WRONG_KEY)
        if self.claim.peer_site != self._site:
            raise HandshakeRefused(f"this is site {self._site}, not {self.claim.peer_site}")
        if self.claim.site == self._site:
            raise HandshakeRefused(f"site {self._site} dialled itself")
        self.done = True
        return b""


_WRONG_KEY = "wrong installation key: both sites need the same key file"


def _proof(key: bytes, role: bytes, hello: bytes, said: bytes) -> bytes:
    parts = (b"bilocate link", role, hello, said)
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")


def _expect(message: Message, kind: Kind) -> None:
    if message.kind is not kind:
        raise HandshakeRefused(f"{message.kind.name} came where {kind.name} was awaited")


def _name(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > _NAME_BYTES_MAX:
        raise HandshakeRefused(f"the name {text[:40]!r}... is longer than {_NAME_BYTES_MAX} bytes")
    return bytes([len(encoded)]) + encoded


def _names(body: bytes, count: int) -> list[str]:
    names = []
    try:
        for _ in range(count):
            (length,) = Struct(">B").unpack_from(body)
            if len(body) < 1 + length:
                raise ValueError("cut off")
            names.append(body[1 : 1 + length].decode())
            body = body[1 + length :]
        if body or not all(name.isprintable() for name in names):
            raise ValueError("not the names alone")
    except (StructError, ValueError):
        raise HandshakeRefused("the names in the handshake are malformed") from None
    return names


def _readable(reason: bytes) -> str:
    # It goes into logs: nothing of it may move a terminal or forge a line.
    text = reason[:_REASON_BYTES_MAX].decode(errors="replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
