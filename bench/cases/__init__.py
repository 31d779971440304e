"""Rows that are no load but an event: a resync, a failover, a killed secondary, a large installation."""
