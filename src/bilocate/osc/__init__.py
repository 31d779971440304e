"""Commands for the OpenStack command line: `openstack replication …`.

Its entry points are in pyproject.toml; `openstack` finds them where this package is installed beside it. Nothing else
imports this package, so that Bilocate itself works without osc_lib.
"""
