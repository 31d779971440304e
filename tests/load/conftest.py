"""Figures, as the tests on real processes tell them."""

from tests.real.conftest import tell

__all__ = ["tell"]
