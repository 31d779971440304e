"""Bilocate as it is measured: a whole installation, as `bilocate up` makes it."""
