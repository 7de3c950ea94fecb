"""Digests and canonical JSON: values without I/O that every package above shares."""
