"""Probes of a live environment: one file each, one :class:`Environment` of facts at the end."""
