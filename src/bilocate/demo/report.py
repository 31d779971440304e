"""What the demonstration prints: steps with times, checks with their results."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.rule import Rule


class CheckFailed(Exception):
    """A check of the demonstration did not hold; the message says which."""


class Report:
    """Prints the story. `check` counts, and raises at the first thing that is not as promised."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.started = time.monotonic()
        self.checks = 0

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        elapsed = time.monotonic() - self.started
        self.console.print()
        self.console.print(Rule(f"[dim]{elapsed:4.1f} s[/]  [bold]{title}[/]", align="left", style="dim"))

    def tell(self, sentence: str) -> None:
        """Something that happened."""
        self.console.print(f"  {sentence}")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Something that takes time: it is printed with how long it took."""
        began = time.monotonic()
        yield
        self.console.print(f"  {what} [dim]({time.monotonic() - began:.2f} s)[/]")

    def check(self, holds: bool, what: str, otherwise: str = "") -> None:
        """A promise: printed as kept, or the demonstration ends here.

        :raises CheckFailed: when it does not hold.
        """
        self.checks += 1
        if holds:
            self.console.print(f"  [green]✓[/] {what}")
            return
        self.console.print(f"  [bold red]✗[/] {what}{f': {otherwise}' if otherwise else ''}")
        raise CheckFailed(what)
