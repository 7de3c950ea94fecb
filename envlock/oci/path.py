"""A path inside an image, checked once, so that nothing downstream can write outside a root.

Rules kept here: absolute, POSIX, normalised (no empty, ``.`` or ``..`` part, no trailing slash), no
NUL or other control character, encodable as UTF-8. A backslash is a character like others: systemd's
units have some in their names. No part begins with ``.wh.``: in a layer it would take away what lies below
(OCI image-spec 1.1, layer.md, "Whiteouts"). No part has more bytes than a file system takes (255), and no
path more than the kernel (4,096) where an engine keeps it some directories deep.
"""

import re
from dataclasses import dataclass

from envlock.runtime.errors import InputError

# Parts that are neither "." nor "..", of anything but control characters and surrogates.
_FORM = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z)|\.wh\.)[^/\x00-\x1f\x7f\ud800-\udfff]+)+")
_PART, _WHOLE = 255, 3_840


def lacking(text: str) -> str | None:
    """Return what ``text`` would have to be to be a path in an image; None where it is one."""
    if not _FORM.fullmatch(text):
        return "an absolute, normalised path without '..', '.wh.' or control characters"
    # In ASCII, what is no longer than a part may be has no longer part.
    if (len(text) > _PART or not text.isascii()) and _is_long(text.encode()):
        return f"at most {_PART} bytes in a part of a path, and {_WHOLE} in all"
    return None


def _is_long(path: bytes) -> bool:
    return len(path) > _WHOLE or any(len(part) > _PART for part in path.split(b"/"))


@dataclass(frozen=True, slots=True, order=True)
class ImagePath:
    """An absolute path such as ``/opt/env/bin/python``. Ordered by code point, which is UTF-8's order."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what is not absolute and normalised with InputError."""
        expected = lacking(self.text)
        if expected is not None:
            raise InputError("not a path inside an image", expected=expected, found=repr(self.text))

    @classmethod
    def again(cls, text: str) -> "ImagePath":
        """Return the path of a ``text`` that was one before, or stands above one: it is not checked again."""
        path = object.__new__(cls)
        object.__setattr__(path, "text", text)
        return path

    def __str__(self) -> str:
        """Return the absolute path."""
        return self.text

    @property
    def relative(self) -> str:
        """The path without its leading slash: the name in a layer's tar."""
        return self.text[1:]

    @property
    def name(self) -> str:
        """The last part."""
        return self.text.rpartition("/")[2]

    def __truediv__(self, name: str) -> "ImagePath":
        """Return the path ``name`` (which may contain slashes) below this one."""
        return ImagePath(f"{self.text}/{name}")

    def below(self, name: str) -> "ImagePath":
        """Return ``name``, which behind a slash is a path by itself, below this one. Raises InputError."""
        text = f"{self.text}/{name}"
        return ImagePath.again(text) if len(text) <= _PART else ImagePath(text)

    def parents(self) -> tuple["ImagePath", ...]:
        """Return the directories above, outermost first, without the root itself."""
        parts = self.text.split("/")[1:-1]
        return tuple(ImagePath.again("/" + "/".join(parts[: depth + 1])) for depth in range(len(parts)))

    def within(self, directory: "ImagePath") -> bool:
        """Say whether the path is ``directory`` or lies below it."""
        return self.text.startswith(directory.text + "/") or self == directory
