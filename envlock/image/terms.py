"""Whose terms go with the bytes of an environment when they are passed on: cuDNN's and MKL's.

DESIGN section 6, "Base": a push to a registry names them once. Once is once for each store, since that
is what a machine's user keeps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envlock.core.progress import Progress, Silent
from envlock.host.store import Store
from envlock.lock.model import Lock

_FACTS: Final = "told-terms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A library, what has it here, and what its licence demands of who passes it on."""

    library: str
    carrier: str
    demand: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.library} (in {self.carrier}) has terms for passing it on: {self.demand}"


_CUDNN: Final = (
    "NVIDIA's licence lets it go along with an application that adds functions of its own, under terms that "
    "protect it as much; not by itself"
)
_MKL: Final = "Intel's licence demands that its copyright notice and its text go along"


def found(lock: Lock) -> tuple[Terms, ...]:
    """Return the terms that go with ``lock``, each once."""
    every = {terms.library: terms for terms in (*_mkl(lock), *_cudnn(lock))}
    return tuple(every[name] for name in sorted(every))


def tell(locks: Iterable[Lock], store: Store, progress: Progress) -> None:
    """Say the terms that ``store`` does not remember to have been said; nothing where nobody listens."""
    if isinstance(progress, Silent):
        return
    for terms in (terms for lock in locks for terms in found(lock)):
        if store.fact(_FACTS, terms.library) is None:
            progress.note(f"note: {terms}")
            store.remember(_FACTS, terms.library, {"told": True})


def _cudnn(lock: Lock) -> Iterator[Terms]:
    carriers = [library.origin.partition(":")[2] for library in lock.cuda if library.name == "cudnn"]
    carriers += [one.name for one in lock.packages if one.name.startswith("nvidia-cudnn-")]
    for carrier in carriers[:1]:
        yield Terms(library="cuDNN", carrier=carrier or "the base", demand=_CUDNN)


def _mkl(lock: Lock) -> Iterator[Terms]:
    # The index's torch for x86-64 has MKL linked in, so no file of it is named so.
    linked = {"torch"} if lock.os.machine == "x86_64" else set()
    names = [one.name for one in lock.packages if one.name in {"mkl", *linked}]
    names += [one.name for one in lock.conda if one.name == "mkl"]
    names += [name for name, _ in lock.libraries if "libmkl_" in name][:1]
    for name in names[:1]:
        yield Terms(library="MKL", carrier=name, demand=_MKL)
