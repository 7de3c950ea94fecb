"""What differs between two images, decided from values alone."""

import dataclasses

from envlock.core.digest import Digest
from envlock.image.difference import Difference, FileDifference, Side, difference
from envlock.lock.model import Lock, Package, Wheel
from envlock.oci.contents import Entry
from envlock.oci.model import Layer
from tests.image.wheels import lock_of

SITE = "/opt/env/lib/python3.11/site-packages"
ENTRY = Entry(kind="file", mode=0o644, owner="0:0", mtime=0, size=1, sha256="a")


def layer(holds: str, digit: str) -> Layer:
    return Layer(diff_id=Digest(digit * 64), blob=Digest("f" * 64), size=1, comment=holds)


def demo(version: str) -> Package:
    wheel = Wheel(
        name=f"demo-{version}-py3-none-any.whl",
        sha256=Digest.of(version.encode()),
        size=1,
        url="https://index.example/d",
    )
    return Package(name="demo", version=version, wheel=wheel, source="index", evidence="matched")


def side(**changes: object) -> Side:
    plain = Side(
        digest=Digest("0" * 64),
        config={
            "os": "linux",
            "config": {"Env": ["A=1"], "Entrypoint": ["x", "y"]},
            "rootfs": {"diff_ids": []},
        },
        layers=(layer("base", "1"), layer("numpy 1.0", "2")),
        files={},
        records={},
        lock=None,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type] # any field


def test_an_image_is_the_same_as_itself() -> None:
    found = difference(side(), side())
    assert found.empty
    assert found.same_digest


def test_the_same_image_under_another_manifest_is_no_difference() -> None:
    found = difference(side(), side(digest=Digest("1" * 64)))
    assert found.empty
    assert not found.same_digest


def test_a_layer_that_is_compressed_otherwise_is_told_and_no_difference() -> None:
    packed = dataclasses.replace(layer("base", "1"), blob=Digest("e" * 64))
    found = difference(side(), side(digest=Digest("9" * 64), layers=(packed, layer("numpy 1.0", "2"))))
    assert found.empty
    assert [(one.subject, one.after) for one in found.blobs] == [("base", f"sha256:{'e' * 64}")]


def test_each_differing_value_of_the_config_is_named() -> None:
    config = {"os": "linux", "config": {"Env": ["A=2", "B=3"], "Entrypoint": ["x"], "User": None}}
    assert difference(side(), side(config=config)).config == (
        Difference(subject="config.Entrypoint", before="x y", after="x"),
        Difference(subject="config.Env.A", before="1", after="2"),
        Difference(subject="config.Env.B", before=None, after="3"),
    )


def test_layers_are_paired_by_what_they_hold() -> None:
    other = (layer("base", "3"), layer("numpy 1.1", "4"))
    assert [one.subject for one in difference(side(), side(layers=other)).layers] == [
        "base",
        "numpy 1.0",
        "numpy 1.1",
    ]


def test_layers_in_another_order_are_a_difference() -> None:
    found = difference(side(), side(layers=side().layers[::-1]))
    assert found.layers == (Difference(subject="order", before="base numpy 1.0", after="numpy 1.0 base"),)


def test_two_layers_of_one_name_are_both_told() -> None:
    before = (layer("RUN make", "1"), layer("RUN make", "2"), layer("", "3"))
    after = (layer("RUN make", "1"), layer("RUN make", "4"), layer("", "5"))
    found = difference(side(layers=before), side(layers=after))
    assert [one.subject for one in found.layers] == ["RUN make'", "layer 3"]


def test_a_files_differing_properties_are_named() -> None:
    changed = dataclasses.replace(ENTRY, sha256="b", size=2, mode=0o755, mtime=9)
    resized = dataclasses.replace(ENTRY, size=2)
    before = {"/a": ENTRY, "/b": ENTRY, "/c": ENTRY, "/same": ENTRY}
    after = {"/a": changed, "/c": resized, "/d": ENTRY, "/same": ENTRY}
    assert difference(side(files=before), side(files=after)).files == (
        FileDifference(path="/a", change="changed", what=("mode", "time", "content")),
        FileDifference(path="/b", change="removed"),
        FileDifference(path="/c", change="changed", what=("size",)),
        FileDifference(path="/d", change="added"),
    )


def test_a_file_is_told_with_the_distribution_that_owns_it() -> None:
    records = {
        f"{SITE}/Big_One-1.0.dist-info/RECORD": b"big/a.py,,\n../../../bin/big,,\n\nns/x.py,,\n",
        f"{SITE}/other-1.0.dist-info/RECORD": b"ns/y.py,,\n",
        "/elsewhere/RECORD": b"ns/z.py,,\n",
    }
    paths = {
        f"{SITE}/big": "big-one",
        f"{SITE}/big/a.py": "big-one",
        f"{SITE}/big/__pycache__": "big-one",
        f"{SITE}/big/__pycache__/a.cpython-311.pyc": "big-one",
        f"{SITE}/big/__pycache__/stray.cpython-311.pyc": "",
        "/opt/env/bin/big": "big-one",
        f"{SITE}/ns": "",
        f"{SITE}/ns/y.py": "other",
        "/elsewhere/ns/z.py": "",
    }
    found = difference(side(), side(files=dict.fromkeys(paths, ENTRY), records=records)).files
    assert {one.path: one.owner for one in found} == paths


def test_the_locks_inside_say_why() -> None:
    one, two = lock_of(demo("1.0")), lock_of(demo("2.0"))
    found = difference(side(lock=one), side(lock=two))
    (reason,) = found.reasons
    assert reason.subject == "wheel demo"
    assert str(reason.before).startswith("1.0 (")
    assert str(reason.after).startswith("2.0 (")


def test_without_both_locks_no_reason_is_made_up() -> None:
    lock: Lock = lock_of(demo("1.0"))
    assert difference(side(lock=lock), side()).reasons == ()
