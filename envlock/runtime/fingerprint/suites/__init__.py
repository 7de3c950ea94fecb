"""One suite for each framework: the operations that are hashed, and how their results become bytes.

A suite's module is imported by a probe only, and imports its framework when the suite is made. Its
``VERSION`` rises whenever an operation of it means something else: only equal versions are compared.
"""
