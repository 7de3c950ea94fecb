"""The lock of an environment in which nothing has changed since it was last captured.

Rules kept here (docs/adr/0025-remembered-lock.md):

* A lock is kept with the status of every file that it depends on: envlock's own code, the environment,
  the interpreter, the OS packages in its base, the directories where libraries and wheels are looked for.
* It is about one answer of the interpreter, the variables, the places where wheels are looked for, the
  processor and the user. All of these are asked anew, and so is what only the machine tells.
* It is kept only where nothing had changed for two seconds when the capture began, so nothing changed
  while it went on; and where no place was out of reach that may yet confirm a wheel.
* It is used only where the store still has what travels beside it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

import envlock
from envlock.capture import cpu, transfer
from envlock.capture.active import active_python
from envlock.capture.machine import unseen
from envlock.capture.python import ask
from envlock.cli.request import HOST, Request
from envlock.core.digest import Digest
from envlock.host.data import data
from envlock.host.look import Look
from envlock.host.memory import Memory
from envlock.host.names import Names
from envlock.host.observation import Observation, observe
from envlock.host.reach import Reach
from envlock.host.store import Store
from envlock.lock.model import Lock
from envlock.wheels import configuration
from envlock.wheels.configuration import Index

_LOCKS = "unchanged"
_NOTHING: Observation = observe(())
# Of shells and terminals: no part of a capture looks at them.
_UNREAD = ("_", "OLDPWD", "PWD", "SHLVL", "COLUMNS", "LINES", "TERM")
# Set by every Python that is started in the C locale for those that it starts in turn (PEP 538).
_COERCED = {("LC_CTYPE", value) for value in ("C.UTF-8", "C.utf8", "UTF-8")}
_UNREAD_STARTS = ("SSH_", "TMUX", "VSCODE_", "XDG_SESSION_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which lock is wanted: ``about`` all that is no file, for the interpreter ``python``."""

    python: Path
    about: str
    indexes: tuple[Index, ...]


def question(request: Request, environ: Mapping[str, str]) -> Question | None:
    """Return what the lock is about; None for one that is never remembered. Raises as :func:`ask`."""
    if request.source or request.job or request.requirements or request.base != HOST:
        return None
    python = (request.python or active_python(environ)).absolute()
    interpreter = ask(python, environ, bare=True)
    places = configuration.read(environ, prefix=request.prefix, project=request.project)
    system = os.uname()
    about = {
        "envlock": envlock.__version__,
        "interpreter": asdict(interpreter),
        "unseen": [asdict(gap) for gap in unseen(interpreter, environ)],
        "variables": {name: value for name, value in sorted(environ.items()) if _counts(name, value)},
        "indexes": [[one.name, one.url, one.form] for one in places.indexes],
        "system": [system.release, system.machine, os.geteuid()],
        "processor": asdict(cpu.read(system.machine, environ)),
    }
    return Question(python=python, about=json.dumps(about, default=str), indexes=places.indexes)


def _counts(name: str, value: str) -> bool:
    """Tell whether a capture may depend on a variable."""
    return name not in _UNREAD and not name.startswith(_UNREAD_STARTS) and (name, value) not in _COERCED


def recall(asked: Question, store: Store) -> Lock | None:
    """Return the remembered lock, without what only the machine tells, where nothing has changed."""
    with store.memory(_LOCKS, str(asked.python)) as memory:
        text = _at_a_glance(memory, asked) or _looked_into(memory, asked, store.clock())
    if text is None:
        return None
    lock = transfer.loads(Lock, json.loads(text))
    return lock if all(store.find(one) is not None for one in _beside(lock)) else None


def keep(asked: Question, store: Store, lock: Lock, reach: Reach, begun: int) -> None:
    """Remember ``lock``, whose making began at ``begun`` (nanoseconds since 1970)."""
    whole = _with_own(reach, asked.indexes)
    parts = [json.dumps(part) for part in (whole.trees, whole.without, whole.listings, whole.files)]
    look = whole.look()
    seen = look.observation(lambda: begun)
    with store.memory(_LOCKS, str(asked.python)) as memory:
        memory.hold("reach", _NOTHING, parts, asked.about)
        memory.hold("lock", seen, json.dumps(transfer.dumps(lock)), asked.about)
        _hold_names(memory, asked, look, begun)


def _at_a_glance(memory: Memory, asked: Question) -> str | None:
    """Return the lock's text where no directory and no file has changed."""
    names = _names(memory, asked)
    seen = names.observe() if names is not None else None
    digest = memory.recall("glance", seen, asked.about) if seen is not None else None
    return _text(memory, asked, Observation(digest, settled=True)) if isinstance(digest, str) else None


def _looked_into(memory: Memory, asked: Question, begun: int) -> str | None:
    """Return the lock's text where nothing that counts has changed."""
    reach = _reach(memory, asked)
    if reach is None:
        return None
    look = reach.look()
    text = _text(memory, asked, look.observation())
    if text is not None:
        _hold_names(memory, asked, look, begun)
    return text


def _text(memory: Memory, asked: Question, seen: Observation) -> str | None:
    text = memory.recall("lock", seen, asked.about)
    return text if isinstance(text, str) else None


def _hold_names(memory: Memory, asked: Question, look: Look, begun: int) -> None:
    """Remember where all that was looked at after ``begun`` lies, and how it looks at a glance."""
    names = Names.of(look)
    seen = names.observe(lambda: begun)
    if seen is not None:
        memory.hold("listed", _NOTHING, [part for pair in names.listed for part in pair], asked.about)
        memory.hold("others", _NOTHING, list(names.others), asked.about)
        memory.hold("glance", seen, look.digest, asked.about)


def _names(memory: Memory, asked: Question) -> Names | None:
    match [memory.recall(name, _NOTHING, asked.about) for name in ("listed", "others")]:
        case [list() as listed, list() as others]:
            pairs = tuple(zip(listed[::2], listed[1::2], strict=True))
            return Names(listed=pairs, others=tuple(others))
        case _:
            return None


def _reach(memory: Memory, asked: Question) -> Reach | None:
    match memory.recall("reach", _NOTHING, asked.about):
        case [str(trees), str(without), str(listings), str(files)]:
            return Reach(
                trees=tuple(json.loads(trees)),
                without=tuple(json.loads(without)),
                listings=tuple(json.loads(listings)),
                files=tuple(json.loads(files)),
            )
        case _:
            return None


def _with_own(reach: Reach, indexes: tuple[Index, ...]) -> Reach:
    """Add envlock itself with what it runs on, and the directories that wheels come from."""
    packages = str(Path(click.__file__).parents[1])
    code = (str(Path(envlock.__file__).parent), str(data("images")))
    on_disk = [(one.form, str(one.directory)) for one in indexes if one.directory is not None]
    pages = [place for form, place in on_disk if form == "simple"]
    links = [place for form, place in on_disk if form == "links"]
    return replace(
        reach,
        trees=tuple(dict.fromkeys((*reach.trees, *code, *pages))),
        listings=tuple(dict.fromkeys((*reach.listings, packages, *links))),
    )


def _beside(lock: Lock) -> Iterator[Digest]:
    """Yield the digests of what travels beside the lock."""
    yield from (one.wheel.sha256 for one in lock.packages if one.wheel.path is not None)
    yield from (layer.blob for layer in lock.base.layers)
