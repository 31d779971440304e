"""What a client accepts, and which microversion it wants."""

from collections.abc import Sequence

from bilocate.api.codes import Problem, malformed

V3_LOWEST = (3, 0)
V3_HIGHEST = (3, 44)
VERSION_HEADER = "OpenStack-API-Version"


def accepts_json(accept: Sequence[str]) -> bool:
    """Whether an Accept header lets JSON through; no header accepts everything."""
    ranges = [part for line in accept for part in line.split(",") if part.strip()]
    if not ranges:
        return True
    # The most specific range that fits decides: "*/*, application/json;q=0" does not accept JSON.
    found: tuple[int, float] | None = None
    for part in ranges:
        media, *parameters = [piece.strip().lower() for piece in part.split(";")]
        rank = {"*/*": 0, "application/*": 1, "application/json": 2}.get(media)
        if rank is not None and (found is None or rank >= found[0]):
            found = (rank, _quality(parameters))
    return found is not None and found[1] > 0


def microversion(headers: Sequence[str]) -> tuple[int, int] | None:
    """The version (X, Y) that "volume X.Y" asks for, resolved; None when no header speaks of volumes.

    :raises Problem: 400 when it can't be read, 406 when it is not offered.
    """
    for part in (piece.strip() for line in headers for piece in line.split(",")):
        service, _, wanted = part.partition(" ")
        if service.lower() not in ("volume", "block-storage", "volumev3"):
            continue
        wanted = wanted.strip()
        if wanted == "latest":
            return V3_HIGHEST
        major, dot, minor = wanted.partition(".")
        if not (dot and wanted.isascii() and major.isdecimal() and minor.isdecimal() and len(wanted) < 12):
            raise malformed(f"{VERSION_HEADER}: {wanted!r} is no version: write 'volume X.Y'")
        if not V3_LOWEST <= (int(major), int(minor)) <= V3_HIGHEST:
            offered = f"{spelled(V3_LOWEST)} to {spelled(V3_HIGHEST)}"
            raise Problem(406, f"version {wanted} is not offered: {offered} are")
        return int(major), int(minor)
    return None


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def spelled(version: tuple[int, int]) -> str:
    """X.Y."""
    return f"{version[0]}.{version[1]}"
