"""One file per framework: how it is seeded, and which switches make it deterministic."""
