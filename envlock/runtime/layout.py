"""Where things stand inside the image (docs/image.md). Tests give directories of their own."""

from __future__ import annotations

import os

from envlock.runtime.value import Value

HOOK_NAME = "envlock.pth"
HOOK = "/opt/envlock/runtime\nimport envlock.runtime.startup\n"
"""The file in site-packages that puts the runtime on sys.path and starts it."""


class Layout(Value):
    """Directories of the image."""

    root: str = "/opt/envlock"
    environment: str = "/opt/env"
    work: str = "/work"
    out: str = "/out"
    tmp: str = "/tmp"  # noqa: S108 - the image's own, 1777; the spool in it is private
    host: str = "/"
    """What holds ``proc``."""

    @property
    def image(self) -> str:
        """The description that the build wrote."""
        return os.path.join(self.root, "image.json")

    @property
    def library(self) -> str:
        """What only the entrypoint may import: PyYAML's pure-Python part."""
        return os.path.join(self.root, "lib")

    @property
    def mkl(self) -> str:
        """The library that tells MKL which CPU it stands on."""
        return os.path.join(self.library, "libenvlock-mkl.so")

    @property
    def records(self) -> str:
        """Where run records go unless told otherwise."""
        return os.path.join(self.out, "records")
