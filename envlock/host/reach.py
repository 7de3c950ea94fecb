"""All that an answer about a machine depends on, looked at as one (docs/adr/0025-remembered-lock.md).

Rules kept here:

* Of a tree every name counts, with the status of its file. Bytecode caches (``__pycache__``) are passed
  over, since interpreters write there without asking and no answer depends on them.
* A link counts as itself and as what it leads to. One to a directory is followed where that is a package,
  as imports follow it.
* What can't be looked into, and what is not there, counts as that.
* More names than LARGEST are no basis for anything: the answer is found anew each time.
"""

from dataclasses import dataclass

from envlock.host.look import Look

LARGEST = 2_000_000
"""Names in all; to look at that many takes ten seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Absolute paths, each once."""

    trees: tuple[str, ...] = ()
    """Directories with all that lies below them."""
    without: tuple[str, ...] = ()
    """Directories in trees that do not count."""
    listings: tuple[str, ...] = ()
    """Directories with what lies in them."""
    files: tuple[str, ...] = ()

    def look(self, largest: int = LARGEST) -> Look:
        """Look at all of it."""
        look = Look(largest)
        for path in self.files:
            look.file(path)
        for path in self.listings:
            look.directory(path)
        look.trees(self.trees, self.without)
        return look
