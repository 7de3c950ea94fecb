"""YAML under the 1.2 core schema (YAML 1.2.2 section 10.3).

PyYAML resolves plain scalars by YAML 1.1, where ``off`` is false and ``1:30`` is ninety. So only its
composer is used, without any resolver, and values are made here from the nodes by the core schema's
own expressions. Refused, with line and column: duplicate keys, keys that are no text, anchors that
contain themselves, tags outside the core schema, more than one document.
"""

from __future__ import annotations

import math
import re

from envlock.runtime.errors import InputError
from envlock.runtime.numbers_as_written import Integer, Real, integer, real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)")
_NOT_A_NUMBER = re.compile(r"\.nan|\.NaN|\.NAN")

_UNTAGGED = "untagged"
_PREFIX = "tag:yaml.org,2002:"


def read_yaml(text: str, where: str) -> object:
    """Return what the YAML ``text`` says. Raises InputError with line and column."""
    try:
        import yaml
    except ImportError as error:
        raise InputError(
            "cannot read YAML", where=where, found="no PyYAML here", hint="write the file as JSON"
        ) from error

    class Loader(yaml.BaseLoader):
        """Leaves untagged nodes untagged, so that ``!!str 1`` and ``1`` can be told apart."""

        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:  # noqa: ARG002
            return _UNTAGGED

    try:
        node = yaml.compose(text, Loader=Loader)
        return None if node is None else _Construction(where).value(node)
    except yaml.MarkedYAMLError as error:
        place = _place(where, error.problem_mark or error.context_mark)
        raise InputError("not YAML", where=place, found=error.problem or error.context) from error
    except yaml.YAMLError as error:
        raise InputError("not YAML", where=where, found=str(error).replace("\n", " ")) from error
    except RecursionError as error:
        raise InputError("nested too deeply", where=where) from error


class _Construction:
    """Values out of nodes; an anchor's value is made once and shared."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._made: dict[int, object] = {}
        self._open: set[int] = set()

    def value(self, node: Any) -> object:
        """Return the value of a node of any kind."""
        if id(node) in self._made:
            return self._made[id(node)]
        if id(node) in self._open:
            raise self._error("an anchor contains itself", node)
        self._open.add(id(node))
        made = {"scalar": self._scalar, "sequence": self._sequence, "mapping": self._mapping}[node.id](node)
        self._open.discard(id(node))
        self._made[id(node)] = made
        return made

    def _sequence(self, node: Any) -> object:
        self._check_tag(node, "seq")
        return [self.value(item) for item in node.value]

    def _mapping(self, node: Any) -> object:
        self._check_tag(node, "map")
        made: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            if not isinstance(key, str):
                raise self._error("a key must be text", key_node, hint="write the key in quotes")
            if key in made:
                raise self._error("a key stands twice", key_node, found=repr(key))
            made[key] = self.value(value_node)
        return made

    def _check_tag(self, node: Any, kind: str) -> None:
        if node.tag not in (_UNTAGGED, _PREFIX + kind):
            raise self._error("an unknown tag", node, found=node.tag)

    def _scalar(self, node: Any) -> object:
        text: str = node.value
        if node.tag == _UNTAGGED:
            return text if node.style else _plain(text)
        if node.tag == _PREFIX + "str":
            return text
        value = _plain(text)
        kinds = {"int": Integer, "float": (Integer, Real), "bool": bool, "null": type(None)}
        kind = kinds.get(node.tag[len(_PREFIX) :]) if node.tag.startswith(_PREFIX) else None
        if kind is None:
            raise self._error("an unknown tag", node, found=node.tag)
        if not isinstance(value, kind):  # type: ignore[arg-type]  # a class or a tuple of classes
            raise self._error(f"not a value of {node.tag}", node, found=repr(text))
        return real(text, float(value)) if node.tag == _PREFIX + "float" else value  # type: ignore[arg-type]  # checked above

    def _error(self, what: str, node: Any, found: str | None = None, hint: str | None = None) -> InputError:
        return InputError(what, where=_place(self._where, node.start_mark), found=found, hint=hint)


def _plain(text: str) -> object:
    for pattern, make in _CORE_SCHEMA:
        if pattern.fullmatch(text):
            return make(text)
    return text


def _place(where: str, mark: Any) -> str:
    return f"{where}: line {mark.line + 1}, column {mark.column + 1}" if mark else where


# YAML 1.2.2 section 10.3.2, in its order.
_CORE_SCHEMA: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (_NULL, lambda _: None),
    (_TRUE, lambda _: True),
    (_FALSE, lambda _: False),
    (_INTEGER, integer),
    (_OCTAL, lambda text: integer(text, int(text, 0))),
    (_HEXADECIMAL, lambda text: integer(text, int(text, 0))),
    (_REAL, lambda text: real(text, float(text))),
    (_INFINITY, lambda text: real(text, -math.inf if text.startswith("-") else math.inf)),
    (_NOT_A_NUMBER, lambda text: real(text, math.nan)),
)
