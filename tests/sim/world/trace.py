"""What happened, line by line. The same seed gives the same lines."""


class Trace:
    """Lines of (virtual time, site, event or effect). Costs next to nothing while it is off."""

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self.lines: list[str] = []

    def add(self, now: float, site: str, text: str) -> None:
        """One line; callers look at `on` first, so that no text is made for nothing."""
        self.lines.append(f"{now:10.4f} {site:<10} {text}")

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)
