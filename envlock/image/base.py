"""The ``host`` base: the captured machine's OS packages and interpreter, packed once.

Rules kept here (docs/image.md, "Bases"):

* Layer 1, ``os``: the files of OS packages, unowned libraries and what :mod:`base_root` makes.
  Layer 2, ``python``: the relocated interpreter, where no package owns it, and /opt/env/bin's links.
  Layer 3: the standard library's bytecode (:mod:`base_bytecode`).
* Members and their bytes follow the rules of :mod:`base_members`.
* Compression (:mod:`packing`) happens once: what it yields is pinned in the lock. Each file begins a gzip
  member, for the table of contents by which a snapshotter reads single files.
* A layer is remembered by everything that goes into it, so a second capture packs nothing. The hashes
  of files that no package has a checksum for are remembered while the files stay as they are.
"""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from envlock.core.progress import Advance, Progress
from envlock.host.store import Store
from envlock.image import base_bytecode, base_root, remembered
from envlock.image.base_layer import pinned
from envlock.image.base_members import Member, Plan, complete, copied, entries, identified, is_unknown, link
from envlock.image.interpreter import InterpreterError
from envlock.image.packing import STORED, Packing
from envlock.image.relocate import Move, alias
from envlock.lock.environment import HostFiles
from envlock.lock.model import Base, BaseLayer, Gap, Python
from envlock.oci.layer import FORMAT as LAYER_FORMAT
from envlock.oci.layer import MTIME, write_sorted
from envlock.runtime.errors import InputError

FORMAT = "5"
"""Changes whenever the same inputs give other bytes."""

_FACTS = "base-layer"
_LEFTOVERS = "base-leftovers"
_INPUTS = "base-inputs"
_ENVIRONMENT = "/opt/env/bin"
_MACHINE = Path("/")
_UNPACKED = "not compressed: the captured interpreter does not run here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The base, and what could not be packed as it should be."""

    base: Base
    gaps: tuple[Gap, ...]


def pack_host(
    host_files: HostFiles,
    *,
    python: Python,
    store: Store,
    progress: Progress,
    packs: Packing,
    bytecode: bool = True,
) -> Packed:
    """Pack ``host_files`` and also return what still names the captured machine's home directory.

    With ``bytecode`` a third layer holds that of the standard library; a gap where it can't be made, and
    where nothing is compressed.

    Raises IntegrityError for a file that changed since it was captured, InputError for one that is gone.
    """
    plans = (_os_plan(host_files), _python_plan(host_files, python))
    total = sum(plan.size for plan in plans)
    with (
        progress.task("packing the base", total, "B") as advance,
        ThreadPoolExecutor(len(plans)) as pool,
    ):
        done = list(pool.map(lambda plan: packed_layer(plan, store, advance, packs), plans))
    layers = tuple(layer for layer, _ in done)
    gaps = {gap for _, found in done for gap in found}
    if packs is STORED:
        gaps.add(Gap(subject="base", reason=_UNPACKED))
    if bytecode:
        try:
            made = base_bytecode.layer(layers, python, store, progress)
        except (InputError, InterpreterError):
            # Its text names places of this machine, which no lock may.
            gaps.add(Gap(subject=base_bytecode.COMMENT, reason="the packed interpreter does not run here"))
        else:
            layers = layers if made is None else (*layers, made)
    found = tuple(sorted(gaps, key=lambda gap: gap.subject))
    return Packed(base=Base(kind="host", layers=layers), gaps=found)


def _os_plan(host: HostFiles) -> Plan:
    members = [copied(host.root, path, path) for path in host.loose]
    members += [copied(host.root, source, target) for source, target in host.moved]
    members += [
        copied(host.root, file.path, file.path, file.checksum)
        for package in host.packages
        for file in package.files
    ]
    members += [
        Member(path=path, mode=0o644, data=data, size=len(data))
        for path, data in base_root.files(host).items()
    ]
    taken = {member.path for member in members}
    members += [link(path, to) for path, to in base_root.links(host).items() if path not in taken]
    members += [Member(path=path, mode=mode) for path, mode in base_root.DIRECTORIES.items()]
    return Plan(comment="os", members=complete(members), root=host.root)


def _python_plan(host: HostFiles, python: Python) -> Plan:
    names = ("python", "python3", f"python{python.minor}")
    members = [link(f"{_ENVIRONMENT}/{name}", host.python_executable) for name in names]
    tree, move = host.interpreter, None
    if tree is not None:
        move = Move(old=str(tree.prefix), new=tree.target)
        members += [
            copied(host.root, f"{tree.prefix}/{name}", f"{tree.target}/{name}") for name in tree.files
        ]
        named = alias(move)
        members += [link(*named)] if named is not None else []
    return Plan(comment="python", members=complete(members), move=move, root=host.root)


def packed_layer(
    plan: Plan, store: Store, advance: Advance, packs: Packing = STORED
) -> tuple[BaseLayer, tuple[Gap, ...]]:
    """Return the plan's layer, whose blob is then in ``store``, and what its move could not reach."""
    known = _remembered(plan, _known_key(plan, packs, store), store)
    if known is not None:
        advance(plan.size)
        return known
    plan = identified(plan)
    leftovers: list[str] = []
    with store.writing() as sink:
        made = entries(plan, advance, leftovers, packs.member)
        layer = write_sorted(made, sink, pack=packs.member, comment=plan.comment)
    key = _key(plan, packs)
    # The layer last: where it is remembered, so is what was found in it.
    store.remember(_LEFTOVERS, key, {"paths": leftovers})
    remembered.keep(store, _FACTS, key, layer)
    return pinned(layer), _gaps(leftovers)


def _known_key(plan: Plan, packs: Packing, store: Store) -> str:
    """Return :func:`_key` of the plan, from memory while the files without a checksum are unchanged."""
    unknown = [str(member.source) for member in plan.members if is_unknown(member)]
    # An image's files lie in a scratch directory, whose name never comes again.
    if not unknown or plan.root != _MACHINE:
        return _key(identified(plan), packs)
    with store.memory(_INPUTS, "\0".join((_key(plan, packs), *unknown))) as memory:
        return str(memory.answer("key", unknown, lambda: _key(identified(plan), packs)))


def _key(plan: Plan, packs: Packing) -> str:
    """Return what stands for every input of the layer: format, move, and each member with its hash."""
    move = [plan.move.old, plan.move.new] if plan.move is not None else None
    rows = [[m.path, m.mode, m.target, m.checksum or _hash(m.data)] for m in plan.members]
    inputs = [FORMAT, LAYER_FORMAT, MTIME, packs.name, plan.comment, move, rows]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _hash(data: bytes | None) -> str | None:
    return hashlib.sha256(data).hexdigest() if data is not None else None


def _remembered(plan: Plan, key: str, store: Store) -> tuple[BaseLayer, tuple[Gap, ...]] | None:
    layer = remembered.recall(store, _FACTS, key, plan.comment)
    leftovers = (store.fact(_LEFTOVERS, key) or {}).get("paths")
    if layer is None or not isinstance(leftovers, list):
        return None
    return pinned(layer), _gaps(map(str, leftovers))


def _gaps(leftovers: Iterable[str]) -> tuple[Gap, ...]:
    reason = "the packed interpreter still names the home directory that it was captured from"
    return tuple(Gap(subject=name, reason=reason) for name in leftovers)
