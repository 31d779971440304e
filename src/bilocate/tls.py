"""TLS of the HTTP API: what the controller shows, and whom its clients trust."""

import ssl
from pathlib import Path

from bilocate.config import require_private
from bilocate.domain.errors import BilocateError


class TlsFileError(BilocateError):
    """A certificate, key or CA file can't be used; the message names it."""

    def __init__(self, what: str, problem: object) -> None:
        super().__init__(f"{what} can't be used: {problem}")


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What the API is served with: TLS 1.2 and newer. Read at the start: a new certificate needs a restart.

    :raises KeyFileError: others may read the key. TlsFileError: the two are none, or don't belong together.
    """
    require_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise TlsFileError(f"the TLS certificate {certificate} with its key {key}", error) from error
    return context


def client_context(ca_file: Path | None) -> ssl.SSLContext | bool:
    """What an HTTP client verifies by: this CA alone, or those that are usually trusted.

    :raises TlsFileError: there are no certificates in the file.
    """
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:
        raise TlsFileError(f"the CA file {ca_file}", error) from error
