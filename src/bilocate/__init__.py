"""Bilocate: block volumes that live in two availability zones at once."""

__version__ = "0.1.0"
