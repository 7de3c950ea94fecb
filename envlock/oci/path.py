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


def _is_long(path: bytes) -> bool:
    return len(path) > _WHOLE or any(len(part) > _PART for part in path.split(b"/"))


@dataclass(frozen=True, slots=True, order=True)
class ImagePath:
    """An absolute path such as ``/opt/env/bin/python``. Ordered by code point, which is UTF-8's order."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what is not absolute and normalised with InputError."""
        text = self.text
        if not _FORM.fullmatch(text):
            expected = "an absolute, normalised path without '..', '.wh.' or control characters"
            raise InputError("not a path inside an image", expected=expected, found=repr(text))
        # In ASCII, what is no longer than a part may be has no longer part.
        if (len(text) > _PART or not text.isascii()) and _is_long(text.encode()):
            expected = f"at most {_PART} bytes in a part of a path, and {_WHOLE} in all"
            raise InputError("not a path inside an image", expected=expected, found=repr(text))

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

    def parents(self) -> tuple["ImagePath", ...]:
        """Return the directories above, outermost first, without the root itself."""
        parts = self.text.split("/")[1:-1]
        return tuple(ImagePath("/" + "/".join(parts[: depth + 1])) for depth in range(len(parts)))

    def within(self, directory: "ImagePath") -> bool:
        """Say whether the path is ``directory`` or lies below it."""
        return self.text.startswith(directory.text + "/") or self == directory
