"""Seeds, version 1: one master seed, and a seed of its own for everything that asks.

An HMAC-SHA-256 tree (docs/runtime.md)::

    key(())            = HMAC(b"envlock.seed.v1", decimal(master))
    key(path + (name)) = HMAC(key(path), b"child:" + utf8(name))
    seed(path, bits)   = first bits/8 bytes, big-endian, of HMAC(key(path), b"seed")

A run's seeds sit under ``(experiment, "trial/<n>", stream[, "rank/<r>"[, "proc/<k>", …]])``. Library
streams follow the manifest's ``ranks`` (``shared`` leaves the rank out) and differ in each process;
``python.hash`` never does, as children inherit it. A stream of the user's own is the same on every
rank and in every process (a split must be), unless asked for with ``per_rank=True``.

``scheme: uniform`` gives the libraries of a rank's main process ``master mod 2^bits`` (plus the rank
when ranks are distinct): what scripts get that seed everything with one number. All else, worker
processes and unseeded Generators included, has no such number and comes from the tree.

In a job: ``from envlock.runtime import seeds; seeds.generator("data.shuffle")`` (docs/randomness.md).
"""

from __future__ import annotations

from envlock.runtime import decimals, names
from envlock.runtime.errors import InputError
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from hashlib import sha256
    from typing import Any, TypeVar

    import numpy as np
    import torch

    from envlock.runtime.manifest import Manifest
    from envlock.runtime.rank import Rank

    Item = TypeVar("Item")
else:
    # The interpreter's own SHA-256, as the standard library's random does it: hashlib loads OpenSSL,
    # which takes longer than all seeds together. _sha2 is Python 3.12's, _sha256 that of those before.
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

LIBRARY_STREAMS = (
    ("python.hash", 32),
    ("python", 128),
    ("numpy", 32),
    ("torch", 64),
    ("tensorflow", 64),
    ("jax", 64),
    ("cupy", 32),
    ("numba", 32),
    ("polars", 64),
    ("lightgbm", 32),
    ("xgboost", 32),
)
"""(stream, bits) of each library, in the order of docs/runtime.md's table."""

_WIDTHS = dict(LIBRARY_STREAMS)
_HASH_STREAM = "python.hash"
_MOST_BITS = 256
_BLOCK = 64
_INNER, _OUTER = (bytes(byte ^ padding for byte in range(256)) for padding in (0x36, 0x5C))


def derive(master: int, path: Sequence[str], bits: int) -> int:
    """Return the seed of ``bits`` bits (a multiple of 8, 8 to 256) at ``path``.

    ``master`` is an integer of any size, at least 0. Raises InputError for anything else.
    """
    _check_master(master)
    _check_bits(bits)
    key = _hmac(b"envlock.seed.v1", decimals.to_text(master).encode("ascii"))
    for name in path:
        _check_name(name)
        key = _hmac(key, b"child:" + name.encode("utf-8"))
    return int.from_bytes(_hmac(key, b"seed")[: bits // 8], "big")


class Seeding(Value):
    """How one process of a run is seeded; ``process`` holds its ``proc/<k>`` elements."""

    master: int
    experiment: str = "default"
    trial: int = 0
    scheme: str = "tree"
    ranks: str = "distinct"
    rank: int = 0
    world: int = 1
    process: tuple[str, ...] = ()

    def path_for(self, stream: str, child: Sequence[str] = (), *, per_rank: bool = False) -> tuple[str, ...]:
        """Return the path of ``stream`` in this process; ``child`` elements come last."""
        _check_name(stream)
        path: tuple[str, ...] = (self.experiment, f"trial/{self.trial}", stream)
        if stream != _HASH_STREAM and (stream in _WIDTHS or per_rank):
            if self.ranks == "distinct" or per_rank:
                path += (f"rank/{self.rank}",)
            path += self.process
        return path + tuple(child)

    def seed_for(self, stream: str, bits: int, child: Sequence[str] = (), *, per_rank: bool = False) -> int:
        """Return the seed of ``bits`` bits that ``stream`` has in this process."""
        if self.scheme == "uniform" and stream in _WIDTHS and not (self.process or child):
            _check_master(self.master)
            _check_bits(bits)
            distinct = self.ranks == "distinct" and stream != _HASH_STREAM
            return (self.master + (self.rank if distinct else 0)) % (1 << bits)
        return derive(self.master, self.path_for(stream, child, per_rank=per_rank), bits)


def table(manifest: Manifest, ranks: int) -> tuple[tuple[str, int, str, int], ...]:
    """Return (stream, bits, path, value) for each library stream of each of ``ranks`` ranks.

    Rows come by stream, then by rank; a stream that all ranks share has one row. The path is joined
    by ``/``. Raises InputError when the manifest has no seed.
    """
    if manifest.seed is None:
        raise InputError("the manifest has no seed", expected="a number under `seed`", found="none")
    rows: dict[tuple[str, str], tuple[str, int, str, int]] = {}
    for stream, bits in LIBRARY_STREAMS:
        for rank in range(ranks):
            seeding = Seeding(
                master=manifest.seed,
                experiment=manifest.experiment,
                trial=manifest.trial,
                scheme=manifest.seeding.scheme,
                ranks=manifest.seeding.ranks,
                rank=rank,
                world=ranks,
            )
            path = "/".join(seeding.path_for(stream))
            rows.setdefault((stream, path), (stream, bits, path, seeding.seed_for(stream, bits)))
    return tuple(rows.values())


def of_environment(environ: Mapping[str, str], own: Rank, process: tuple[str, ...]) -> Seeding:
    """Return the Seeding that the entrypoint wrote into ``environ``, for ``process`` of the rank ``own``.

    Raises InputError outside a run: without ENVLOCK_SEED there is nothing to derive from.
    """
    text = environ.get("ENVLOCK_SEED", "")
    master = decimals.from_text(text)
    if master is None:
        raise InputError(
            "no seed to derive from",
            expected="a number in ENVLOCK_SEED",
            found=repr(text),
            hint="start the job with `envlock run` or in an envlock image, or set ENVLOCK_SEED yourself",
        )
    return Seeding(
        master=master,
        experiment=environ.get("ENVLOCK_EXPERIMENT") or "default",
        trial=int(environ.get("ENVLOCK_TRIAL") or 0),
        scheme=environ.get("ENVLOCK_SCHEME") or "tree",
        ranks=environ.get("ENVLOCK_RANKS") or "distinct",
        rank=own.rank,
        world=own.world,
        process=process,
    )


def current() -> Seeding:
    """Return the Seeding of this process of the run. Raises InputError outside a run."""
    import os

    from envlock.runtime import identity

    return of_environment(os.environ, identity.own_rank(), identity.process_path())


def seed(name: str, bits: int = 64, *, per_rank: bool = False) -> int:
    """Return the seed of the stream ``name``: a library's (``jax``) or one of your own.

    The same on every rank and in every process unless ``per_rank``. Raises InputError outside a run.
    """
    from envlock.runtime import identity, spool

    seeding = current()
    value = seeding.seed_for(name, bits, per_rank=per_rank)
    spool.report_seed(identity.label(), name, value)
    return value


def generator(name: str, *, per_rank: bool = False) -> np.random.Generator:
    """Return a NumPy Generator (PCG64, 128 bits) for your own stream ``name``; see :func:`seed`."""
    import numpy as np

    return np.random.default_rng(seed(name, 128, per_rank=per_rank))


def torch_generator(name: str, *, per_rank: bool = False, device: str = "cpu") -> torch.Generator:
    """Return a torch Generator on ``device`` for your own stream ``name``; see :func:`seed`."""
    import torch

    return torch.Generator(device=device).manual_seed(seed(name, 64, per_rank=per_rank))


def tf_generator(name: str, *, per_rank: bool = False) -> Any:
    """Return a ``tf.random.Generator`` (63 bits) for your own stream ``name``; see :func:`seed`."""
    import tensorflow as tf

    # TensorFlow keeps seeds in signed 64-bit integers.
    return tf.random.Generator.from_seed(seed(name, 64, per_rank=per_rank) >> 1)


def jax_key(name: str = "jax", *, per_rank: bool = False) -> Any:
    """Return a JAX key (threefry, 64 bits) for your own stream ``name``, or JAX's; see :func:`seed`.

    ``jax.random.key`` drops all but 32 bits of a seed unless JAX computes in 64 bits, and takes none
    above 2^63.
    """
    import jax

    value = seed(name, 64, per_rank=per_rank)
    halves = jax.numpy.array([value >> 32, value & 0xFFFFFFFF], "uint32")
    return jax.random.wrap_key_data(halves, impl="threefry2x32")


def split(
    name: str, items: Sequence[Item], parts: Sequence[float], *, per_rank: bool = False
) -> tuple[list[Item], ...]:
    """Return ``items`` divided at random, the same on every rank and in every process.

    ``parts`` are sizes that sum to the number of items, or fractions that sum to 1. Items keep their
    order within a part. The record gets the stream's seed and the SHA-256 of who belongs where, so
    that two runs whose data or split differ are told apart. Raises InputError for parts that do not
    sum up, and for ``per_rank``: ranks that split differently train on each other's test data.
    """
    from envlock.runtime import splits, spool

    if per_rank:
        raise InputError("a split can't differ by rank", where=name, hint="leave per_rank out")
    value = seed(name, 128)
    made = splits.divide(items, splits.sizes(len(items), parts), value)
    sizes = ",".join(str(len(part)) for part in made)
    spool.report("split", name, decimals.to_text(value), sizes, splits.membership(made))
    return made


def _hmac(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA-256 (RFC 2104)."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key.ljust(_BLOCK, b"\0")
    inner = sha256(key.translate(_INNER) + message).digest()
    return sha256(key.translate(_OUTER) + inner).digest()


def _check_master(master: object) -> None:
    if isinstance(master, bool) or not isinstance(master, int) or master < 0:
        raise InputError("not a master seed", expected="an integer of at least 0", found=repr(master))


def _check_bits(bits: int) -> None:
    if bits not in range(8, _MOST_BITS + 1, 8):
        raise InputError("not a seed's width", expected="8, 16 … 256 bits", found=repr(bits))


def _check_name(name: object) -> None:
    problem = names.problem(name)
    if problem:
        raise InputError(f"not a stream's name: {problem}")
