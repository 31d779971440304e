"""The replication core: bytes and events in, effects out in a stated order, time an argument.

Start at `session.py`, then `primary.py` and `secondary.py`. `ports.py` lists every effect there is.
Rule numbers and names in capitals refer to docs/safety.md.
"""
