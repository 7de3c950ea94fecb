"""Stopping a job and going on later with the same bits as if it had not stopped.

::

    from envlock.runtime import checkpoint

    batches = checkpoint.Batches(loader)
    objects = dict(model=model, optimizer=optimizer, batches=batches)
    data = {"epoch": 0}
    if os.path.exists(path):
        data = checkpoint.load(path, **objects)
    for epoch in range(data["epoch"], 10):
        for batch in batches:
            ...
            checkpoint.save(path, {"epoch": epoch}, **objects)

A file holds the state of every random generator that the process has (``generators.py``), of the
objects that are named (``objects.py``) and plain data (``trees.py``), each member with its SHA-256.
Nothing in it is unpickled: JSON, ``.npy`` without objects, and torch's weights-only format. It is
written whole or not at all, and checked whole before anything is restored. docs/checkpoint.md has
what is promised, and what can't be.
"""

from __future__ import annotations

from envlock.runtime.checkpoint.batches import Batches
from envlock.runtime.checkpoint.files import load, save

__all__ = ["Batches", "load", "save"]
