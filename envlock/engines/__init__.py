"""Placeholder docstring, to be replaced by the owner."""
