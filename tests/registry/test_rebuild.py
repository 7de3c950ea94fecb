"""What leaves the machine when a small package changed and the image is pushed again."""

from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image.assemble import assemble
from envlock.image.plan import BuildOptions
from envlock.lock.model import Lock
from envlock.oci.model import Image
from envlock.oci.registry.client import Repository
from envlock.oci.registry.push import push
from tests.image import fixture_lock
from tests.image.wheels import package, wheel_items, write_wheel
from tests.registry.faulty import Proxy

pytestmark = pytest.mark.registry


def pushed(lock: Lock, wheels: dict[str, Path], store: Store, repository: Repository) -> Image:
    image = assemble(
        lock,
        lock_bytes=b"lock of " + repr(lock).encode(),
        wheels=wheels,
        store=store,
        options=BuildOptions(isa="native", threads=2, bytecode=False),
        progress=Silent(),
    )
    push(image, repository, store=store, progress=Silent())
    return image


def test_only_the_layer_of_the_changed_package_and_the_lock_leave_the_machine(
    tmp_path: Path, repository: Repository, proxy: Proxy
) -> None:
    store = Store(tmp_path / "store")
    lock, wheels = fixture_lock.make(tmp_path, store)
    before = pushed(lock, wheels, store, repository)
    newer = write_wheel(tmp_path, wheel_items("other", "2.6", {"other.py": b"x = 2\n"}), "other", "2.6")
    changed = replace(lock, packages=(lock.packages[0], package(newer)))
    proxy.seen.clear()
    after = pushed(changed, {**wheels, "other": newer}, store, repository)
    old = {layer.blob for layer in before.layers}
    new = [layer for layer in after.layers if layer.blob not in old]
    assert len(new) == 2, "the package's and the lock's"
    assert proxy.sent("PATCH") == sum(layer.size for layer in new) + len(after.config)
    assert proxy.sent("PUT") == len(after.manifest)
    assert proxy.sent("POST") == 0
