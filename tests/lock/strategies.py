"""Locks of any content, drawn by the types of the model's own fields: a new field is tested at once."""

from dataclasses import fields, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from envlock.core.digest import Digest
from envlock.lock.model import Extra, Lock, Package, Pairs, Wheel

names = st.from_regex(r"[a-z0-9]([a-z0-9]|-(?=[a-z0-9])){0,8}", fullmatch=True).filter(
    lambda name: canonicalize_name(name) == name
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
digests = st.binary(min_size=1, max_size=4).map(Digest.of)
sizes = st.integers(0, 2**53 - 1)
pairs = st.dictionaries(text, text, max_size=3).map(lambda one: tuple(sorted(one.items())))
extras = st.dictionaries(
    st.from_regex(r"x-[a-z]{1,4}", fullmatch=True),
    st.one_of(text, st.integers(-9, 9), st.booleans(), st.dates(), st.lists(text, max_size=2)),
    max_size=2,
).map(lambda one: tuple(sorted(one.items())))
versions = st.sampled_from(["1.0", "2024.1.post2", "3!1.2rc1", "1.0+cpu"])
_WHOLE: dict[Any, st.SearchStrategy[Any]] = {
    str: text,
    int: sizes,
    bool: st.booleans(),
    Digest: digests,
    NoneType: st.none(),
    Extra: extras,
    Pairs: pairs,
}


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a type that the model uses."""
    origin = get_origin(kind)
    if kind in _WHOLE:
        return _WHOLE[kind]
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if origin in (Union, UnionType):
        return st.one_of(*map(of, get_args(kind)))
    if origin is tuple:
        return st.lists(of(get_args(kind)[0]), max_size=2).map(tuple)
    return dataclass_of(kind)


@cache
def dataclass_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of one of the model's dataclasses."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: of(hints[field.name]) for field in fields(kind)})


@st.composite
def packages(draw: st.DrawFn, name: str, known: list[str]) -> Package:
    """Return a package that is one to PEP 751 as well: its version is one, its wheel is named after it."""
    version = draw(versions)
    wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    place: dict[str, str] = draw(
        st.sampled_from([{"url": f"https://index.example/{wheel}"}, {"path": f".envlock/wheels/{wheel}"}])
    )
    drawn: Package = draw(dataclass_of(Package))
    return replace(
        drawn,
        name=name,
        version=version,
        wheel=Wheel(name=wheel, sha256=draw(digests), size=draw(sizes), **place),
        requires_python=draw(st.sampled_from([None, ">=3.9"])),
        dependencies=tuple(sorted(draw(st.sets(st.sampled_from(known))))),
    )


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Return a lock in the order that the codec writes."""
    chosen = sorted(draw(st.sets(names, max_size=3)))
    drawn: Lock = draw(dataclass_of(Lock))
    return replace(
        drawn,
        packages=tuple(draw(packages(name, chosen)) for name in chosen),
        requires_python=draw(st.sampled_from(["==3.11.*", ">=3.9"])),
        system_packages=_sorted(drawn.system_packages, "name", "architecture", "version"),
        conda=_sorted(drawn.conda, "name", "version", "build", "channel"),
        cuda=_sorted(drawn.cuda, "name", "version", "origin"),
        gaps=tuple(sorted(drawn.gaps)),
    )


def _sorted(values: Any, *keys: str) -> Any:
    return tuple(sorted(values, key=lambda one: tuple(getattr(one, key) for key in keys)))
