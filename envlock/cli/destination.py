"""Where ``envlock build`` puts images and what is told about them.

``oci:DIR``, ``oci-archive:FILE``, ``docker-archive:FILE``, ``docker:TAG``, ``podman:TAG`` or
``registry:REFERENCE``.

The two archive kinds are one file format, which is both (envlock/oci/archive.py). A bill of materials and
provenance are listed under the image in a registry, and lie beside a directory or file: ``FILE.cdx.json``.
An engine keeps none.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final, Literal, get_args

from envlock.cli.product import Product, combined
from envlock.core.progress import Progress
from envlock.host.files import atomic_write
from envlock.host.store import Store
from envlock.oci import archive, layout
from envlock.oci.model import Layer, Made
from envlock.oci.name import ImageName, typed
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import UsageError

Kind = Literal["oci", "oci-archive", "docker-archive", "docker", "podman", "registry"]


_OF_SEVERAL: Final = ("oci", "oci-archive", "registry")
_ARCHIVES: Final = ("oci-archive", "docker-archive")


@dataclass(frozen=True, slots=True)
class Underway:
    """An image on its way to a place."""

    take: Made
    """Takes the layers, lowest first, while the image is being made; it need not be told of any."""
    finish: Callable[[Sequence[Product]], None]
    """Puts there what is lacking, once the image is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A place. ``target`` is a path, the tag in a Docker engine, or the name in a registry."""

    kind: Kind
    target: str

    def __str__(self) -> str:
        """Return the text that :func:`parse_destination` reads."""
        return f"{self.kind}:{self.target}"

    def refuse_several(self, count: int) -> None:
        """Raise UsageError where ``count`` platforms are more than this kind of place holds."""
        if count > 1 and self.kind not in _OF_SEVERAL:
            raise UsageError(
                "the place holds an image of one platform",
                where=f"-o {self}",
                expected="oci:DIR, oci-archive:FILE or registry:REFERENCE for several locks",
            )

    def reach(self, ca_bundle: str | None, progress: Progress) -> None:
        """Raise UnreachableError where an engine or a registry does not answer, or knows no such login.

        That is worth knowing before an image is built for it. Whether the login may push is told by pushing.
        """
        if self.kind == "registry":
            from envlock.cli import pushing  # noqa: PLC0415 # HTTP's library is slow to import

            pushing.reach(self.target, progress, ca_bundle)
        elif self.kind in ("docker", "podman"):
            self._engine().reach()

    def _engine(self) -> ModuleType:
        # Other destinations need neither, and Docker's library is slow to import.
        return importlib.import_module(f"envlock.engines.{self.kind}")

    @contextmanager
    def underway(
        self,
        store: Store,
        tag: str | None,
        progress: Progress,
        ca_bundle: str | None = None,
        *,
        early: bool = False,
    ) -> Iterator[Underway]:
        """Yield what puts an image whose blobs lie in ``store`` there, whole or not at all.

        ``tag`` names it in a layout or an archive. ``early``: layers may go there while the rest is made.
        """
        blobs = layout.in_store(store)
        archived = archive.growing(Path(self.target), blobs) if self.kind in _ARCHIVES else nullcontext()
        with archived as file, ExitStack() as sending:
            take: Made = _pass_over
            if early and file is not None:
                take = file.take
            elif early and self.kind == "docker":
                take = sending.enter_context(self._engine().ahead(blobs, progress))

            def finish(products: Sequence[Product]) -> None:
                sending.close()
                if self.kind == "registry":
                    from envlock.cli import pushing  # noqa: PLC0415 # as above

                    pushing.push(products, self.target, store, progress, ca_bundle)
                    return
                with progress.task(f"write {self}", None):
                    self._write(products, store, tag, file)

            yield Underway(take=take, finish=finish)

    def _write(
        self, products: Sequence[Product], store: Store, tag: str | None, file: archive.Growing | None
    ) -> None:
        image, blobs = combined(products), layout.in_store(store)
        if file is not None:
            file.finish(image, tag)
        elif self.kind == "oci":
            layout.write(image, blobs, Path(self.target), tag)
            # Links change the status of the blobs, whose bytes were known a moment ago.
            for blob in layout.distinct_blobs(image):
                store.vouch(blob.digest)
        else:
            self._engine().load(products[0].image, blobs, self.target, store)
            return
        for product in products:
            of = f".{product.platform.replace('/', '-')}" if len(products) > 1 else ""
            for one in product.attachments:
                with atomic_write(Path(f"{self.target}{of}.{one.suffix}")) as stream:
                    stream.write(one.data)


def _pass_over(_: Layer) -> None:
    """Take a layer that comes with the whole image."""


def parse_destination(text: str) -> Destination:
    """Read ``KIND:TARGET``. Raises UsageError, for a name that nobody takes too."""
    for kind in get_args(Kind):
        if text.startswith(f"{kind}:") and text != f"{kind}:":
            target = text.removeprefix(f"{kind}:")
            # A name that nobody takes is told before an image is built for it.
            with typed(f"-o {text}"):
                if kind == "registry":
                    Reference.parse(target)
                elif kind in ("docker", "podman"):
                    ImageName.parse(target)
            return Destination(kind=kind, target=target)
    raise UsageError(
        "not a place for an image",
        where=f"-o {text}",
        expected="oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG, podman:TAG or "
        "registry:REFERENCE",
        found=repr(text),
    )
