"""The lockfile: its values, its PEP 751 codec, its identity."""
