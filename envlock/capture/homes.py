"""The home directories of a captured machine, as far as its environment leads to them."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from envlock.capture.python import home_of
from envlock.lock.environment import InstalledDistribution

# A home of one component may be anything: services and containers have /, /tmp or /srv.
_FEWEST = 3


def read(distributions: Iterable[InstalledDistribution], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the homes that distributions and their sources lie in, and the user's own, sorted.

    ``environ`` is that of the captured machine; of an image, whose variables say nothing of who built
    what is in it, empty.
    """
    places = {str(one.site) for one in distributions}
    places |= {str(file.path.parent) for one in distributions for file in one.carried}
    found = {home for place in places if (home := home_of(place)) is not None}
    own = environ.get("HOME", "").rstrip("/")
    if own.startswith("/") and (home_of(own) or len(PurePosixPath(own).parts) >= _FEWEST):
        found.add(own)
    return tuple(sorted(found))
