"""Taking typed values out of a parsed document, with errors that name the path to the fault.

Shared by what is read inside the image: run manifests, run records, ``image.json``.
"""

from __future__ import annotations

from envlock.runtime.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_KINDS = {
    "bool": "true or false",
    "dict": "a mapping",
    "float": "the number",
    "int": "the number",
    "list": "a sequence",
    "NoneType": "nothing",
    "str": "the text",
}


class Mapping:
    """A mapping of the document and the path to it, such as ``run.yaml: outputs[0]``."""

    def __init__(self, values: dict[str, object], where: str, path: str = "") -> None:
        """Keep the values; ``where`` is the file, ``path`` the keys that lead here."""
        self._values = values
        self._where = where
        self._path = path
        self._read: set[str] = set()

    @classmethod
    def of(cls, document: object, where: str, path: str = "") -> Mapping:
        """Return the mapping ``document``. Raises InputError when it is anything else."""
        if not isinstance(document, dict):
            place = f"{where}: {path}" if path else where
            raise InputError("wrong type", where=place, expected="a mapping", found=_described(document))
        return cls(document, where, path)

    def names(self) -> tuple[str, ...]:
        """Return the keys, as written."""
        return tuple(self._values)

    def get(self, key: str) -> object:
        """Return the raw value, None where it is absent or null."""
        self._read.add(key)
        return self._values.get(key)

    def version(self, key: str, known: int) -> None:
        """Refuse anything but version ``known`` under ``key``."""
        found = self.get(key)
        if isinstance(found, bool) or found != known:
            hint = f"put `{key}: {known}` at the top" if found is None else "a newer envlock may read it"
            raise self.error(
                key, what="unknown version", expected=str(known), found=_described(found), hint=hint
            )

    def text(self, key: str, default: str | None) -> str:
        """Return text; ``default`` None makes the key required."""
        found = self.optional_text(key)
        if found is None and default is None:
            raise self.error(key, what="missing key", expected="text", found="nothing")
        return found if found is not None else default or ""

    def optional_text(self, key: str, *, digits: bool = False) -> str | None:
        """Return text or None. With ``digits`` a plain number counts as the digits it is written in."""
        found = self.get(key)
        if digits and not isinstance(found, str) and getattr(found, "text", None):
            return str(getattr(found, "text", ""))
        if found is None and key in self._values:
            raise self.error(key, expected="text", found="nothing", hint='write "" for empty text')
        if found is None or isinstance(found, str):
            return found
        raise self._not_text(key, found)

    def nullable_text(self, key: str) -> str | None:
        """Return text, or None where it is absent or null (as programs, not people, write it)."""
        return None if self.get(key) is None else self.optional_text(key)

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """Return one word of ``choices``."""
        found = self.get(key)
        if found is None:
            return default
        if found not in choices:
            raise self.error(key, expected=" | ".join(choices), found=_described(found))
        return str(found)

    def integer(self, key: str, default: int, least: int = 0) -> int:
        """Return an integer of at least ``least``."""
        found = self.optional_integer(key, least)
        return default if found is None else found

    def optional_integer(self, key: str, least: int) -> int | None:
        """Return an integer of at least ``least``, or None where there is none."""
        found = self.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            raise self.error(key, expected=f"an integer of at least {least}", found=_described(found))
        return int(found)

    def boolean(self, key: str) -> bool:
        """Return true or false; absent: false."""
        found = self.get(key)
        if found is None:
            return False
        if not isinstance(found, bool):
            raise self.error(key, expected="true or false", found=_described(found))
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a sequence of text; absent: empty."""
        items = self._sequence(key)
        for index, item in enumerate(items):
            if not isinstance(item, str):
                raise self._not_text(f"{key}[{index}]", item)
        return tuple(str(item) for item in items)

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a sequence of integers of at least 0; absent: empty."""
        items = self._sequence(key)
        for index, item in enumerate(items):
            if isinstance(item, bool) or not isinstance(item, int) or item < 0:
                raise self.error(
                    f"{key}[{index}]", expected="an integer of at least 0", found=_described(item)
                )
        return tuple(int(item) for item in items if isinstance(item, int))

    def mapping(self, key: str) -> Mapping:
        """Return the mapping under ``key``; absent: an empty one."""
        found = self.get(key)
        return Mapping.of({} if found is None else found, self._where, self._joined(key))

    def mappings(self, key: str) -> tuple[Mapping, ...]:
        """Return a sequence of mappings; absent: empty."""
        items = enumerate(self._sequence(key))
        return tuple(Mapping.of(item, self._where, self._joined(f"{key}[{at}]")) for at, item in items)

    def text_items(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return (name, text) of the mapping under ``key``, sorted; absent: empty."""
        section = self.mapping(key)
        return tuple((name, section.text(name, None)) for name in sorted(section.names()))

    def end(self) -> None:
        """Refuse keys that nobody has read."""
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            known = ", ".join(sorted(self._read))
            raise self.error(unknown[0], what="unknown key", hint=f"known here: {known}")

    def error(
        self,
        key: str,
        *,
        what: str = "wrong value",
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> InputError:
        """Return the error for ``key`` of this mapping, to be raised."""
        return InputError(
            what, where=f"{self._where}: {self._joined(key)}", expected=expected, found=found, hint=hint
        )

    def _sequence(self, key: str) -> list[object]:
        found = self.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self.error(key, what="wrong type", expected="a sequence", found=_described(found))
        return found

    def _not_text(self, key: str, found: object) -> InputError:
        written = getattr(found, "text", None)
        if isinstance(found, bool):
            written = str(found).lower()
        hint = f'write it in quotes: "{written}"' if written else None
        return self.error(key, what="wrong type", expected="text", found=_described(found), hint=hint)

    def _joined(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _described(value: object) -> str:
    kind = next((name for name in _KINDS if type(value).__name__ == name), None)
    if kind is None:
        kind = "int" if isinstance(value, int) else "float"
    words = _KINDS[kind]
    if kind in ("dict", "list", "NoneType"):
        return words
    if kind == "bool":
        return str(value).lower()
    return f"{words} {getattr(value, 'text', value)!s}" if kind != "str" else f"the text {value!r}"
