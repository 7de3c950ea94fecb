"""Runs, and what they prove: running a manifest, running a record again, comparing records."""
