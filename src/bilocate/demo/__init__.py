"""The demonstration: `make demo`, or `python -m bilocate.demo`."""
