"""The store of the user who runs the command."""

import os

import click

from envlock.host.store import Store, default_root


def store(*, anew: bool = False) -> Store:
    """Return this user's store, which nobody prunes until the command has ended."""
    found = Store(default_root(os.environ), anew=anew)
    click.get_current_context().with_resource(found.used())
    return found
