"""The numerics fingerprint: hashes of many operations on fixed inputs (docs/fingerprint.md).

Two hosts with equal fingerprints compute alike, so a result that differs there comes from the seed,
the input or the job itself. Where the fingerprints differ they name the operations that will not match.

``taking`` (in the entrypoint) starts one ``probe`` for each framework, under the job's own variables;
a probe runs its framework's ``suites`` and tells a hash for each operation. ``values`` holds what they
found, ``document`` is its JSON, ``agreement`` compares.
"""
