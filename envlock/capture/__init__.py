"""Probes of a live environment: one file each, one :class:`Environment` of facts at the end."""

from envlock.capture.environment import active_python, read, with_machine

__all__ = ["active_python", "read", "with_machine"]
