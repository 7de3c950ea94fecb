"""Exact artifacts: finding an installed package's wheel on an index, fetching, checking, repacking it."""
