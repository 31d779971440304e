"""Taking a site's ledger away, or changing one byte of it. The agent does not run meanwhile."""

from pathlib import Path

LEDGER = "ledger.db"


def delete(site: Path) -> None:
    """Nothing is left of it."""
    files = list(site.glob(f"{LEDGER}*"))
    assert files, f"no ledger in {site}"
    for file in files:
        file.unlink()


def change_a_byte(site: Path, near: str) -> None:
    """One bit of what the ledger knows of `near`, a volume's id: where it was last written."""
    log, database = site / f"{LEDGER}-wal", site / LEDGER
    for file in (log, database):
        content = bytearray(file.read_bytes()) if file.exists() else bytearray()
        at = content.rfind(near.encode())
        if at >= 0:
            content[at + len(near) - 1] ^= 1
            file.write_bytes(content)
            return
    raise AssertionError(f"{near} stands nowhere in the ledger of {site}")
