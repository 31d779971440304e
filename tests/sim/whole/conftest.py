"""Nothing is printed while worlds are made and ended."""

from tests.quiet import quiet

__all__ = ["quiet"]
