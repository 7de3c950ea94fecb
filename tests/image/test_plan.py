import json
from dataclasses import replace

import pytest

from envlock.core.digest import Digest
from envlock.image.plan import BuildOptions, ImagePlan, finish, plan
from envlock.lock.model import (
    Base,
    BaseLayer,
    CudaLibrary,
    Gap,
    Gpu,
    GpuDevice,
    Lock,
    Package,
    Project,
    Wheel,
)
from envlock.oci.model import Layer
from envlock.runtime.errors import InputError
from tests.image.fixture_lock import RUNTIME
from tests.image.wheels import lock_of

MIB = 1 << 20


def sized(name: str, size: int, version: str = "1") -> Package:
    wheel = Wheel(name=f"{name}.whl", sha256=Digest.of(f"{name}{version}".encode()), size=size, url="u")
    return Package(name=name, version=version, wheel=wheel, source="index", evidence="matched")


def base_layers(count: int) -> tuple[BaseLayer, ...]:
    return tuple(
        BaseLayer(
            diff_id=Digest.of(b"d%d" % number),
            blob=Digest.of(b"b%d" % number),
            size=10,
            media_type="application/vnd.oci.image.layer.v1.tar+gzip",
            comment=f"base {number}",
        )
        for number in range(count)
    )


def planned(lock: Lock, **options: object) -> ImagePlan:
    return plan(lock, lock_bytes=b"lock", options=BuildOptions(**options), runtime=RUNTIME)  # type: ignore[arg-type] # the options are BuildOptions' own


def names(found: ImagePlan) -> list[list[str]]:
    return [[package.name for package in group.packages] for group in found.groups]


def test_big_wheels_lie_alone_below_and_small_ones_share_above() -> None:
    small = [sized(f"small-{number}", 1000) for number in range(40)]
    found = names(planned(lock_of(sized("numpy", 20 * MIB), sized("torch", 200 * MIB), *small)))
    assert found[:2] == [["torch"], ["numpy"]]
    assert 1 < len(found[2:]) <= 8
    assert sorted(name for group in found[2:] for name in group) == sorted(one.name for one in small)


def test_a_changed_small_package_touches_one_layer_and_none_below_a_big_one() -> None:
    small = [sized(f"small-{number}", 1000) for number in range(40)]
    lock = lock_of(sized("torch", 200 * MIB), *small)
    newer = lock_of(sized("torch", 200 * MIB), sized("small-0", 1500, "2"), *small[1:])
    before, after = planned(lock).groups, planned(newer).groups
    changed = [number for number, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 1
    assert changed[0] > 0


def test_an_added_or_removed_package_does_not_move_the_others() -> None:
    small = [sized(f"small-{number}", 1000) for number in range(40)]
    with_all, without = planned(lock_of(*small)).groups, planned(lock_of(*small[1:])).groups
    assert len(set(with_all) ^ set(without)) <= 2


def test_a_version_of_about_the_same_size_keeps_its_place() -> None:
    a = names(planned(lock_of(sized("a", 100 * MIB), sized("b", 101 * MIB))))
    b = names(planned(lock_of(sized("a", 102 * MIB), sized("b", 101 * MIB))))
    assert a == b


@pytest.mark.parametrize(
    ("layers", "bytecode"), [(0, True), (5, True), (39, True), (0, False), (5, False), (49, False)]
)
def test_there_are_never_more_than_60_layers(
    layers: int,
    bytecode: bool,  # noqa: FBT001 # a parameter of the test
) -> None:
    many = [sized(f"big-{number:03}", (5 + number) * MIB) for number in range(120)]
    lock = replace(lock_of(*many), base=Base(kind="host", layers=base_layers(layers)))
    found = planned(lock, bytecode=bytecode)
    count = len(found.base) + len(found.groups) + len(found.bytecode_comments) + len(found.own)
    assert 58 < count <= 60
    assert sum(len(group.packages) for group in found.groups) == 120


@pytest.mark.parametrize(("layers", "bytecode", "most"), [(40, True, 39), (50, False, 49)])
def test_a_base_that_leaves_no_room_is_refused(
    layers: int,
    bytecode: bool,  # noqa: FBT001 # a parameter of the test
    most: int,
) -> None:
    with pytest.raises(InputError, match=f"too many layers.* at most {most}, found {layers}") as caught:
        planned(replace(lock_of(), base=Base(kind="oci", layers=base_layers(layers))), bytecode=bytecode)
    assert ("--no-bytecode" in str(caught.value.hint)) == bytecode


def test_each_layer_of_wheels_and_the_runtime_have_bytecode_that_the_format_names() -> None:
    lock = lock_of(sized("torch", 200 * MIB), sized("small", 1000))
    found, without = planned(lock), planned(lock, bytecode=False)
    assert found.bytecode_comments == (
        "bytecode of torch 1",
        "bytecode of small 1",
        "bytecode of envlock runtime",
    )
    assert without.bytecode_comments == ()
    assert dict(found.labels)["dev.envlock.format"] != dict(without.labels)["dev.envlock.format"]


def test_the_lock_and_the_facts_lie_on_top() -> None:
    found = planned(lock_of(sized("a", 1)))
    assert [[file.path.text for file in layer.files] for layer in found.own][-1] == [
        "/opt/envlock/pylock.envlock.toml",
        "/opt/envlock/image.json",
    ]
    paths = {file.path.text: file.data for file in found.own[0].files}
    assert paths["/opt/env/pyvenv.cfg"] == (
        b"home = /opt/python/bin\ninclude-system-site-packages = false\nversion = 3.11.7\n"
    )
    assert paths["/opt/env/lib/python3.11/site-packages/envlock.pth"] == (
        b"/opt/envlock/runtime\nimport envlock.runtime.startup\n"
    )


def facts(lock: Lock) -> dict[str, object]:
    data = planned(lock).own[-1].files[-1].data
    assert data is not None
    found: dict[str, object] = json.loads(data)
    return found


def test_the_facts_hold_what_the_entrypoint_reads() -> None:
    lock = replace(
        lock_of(sized("a", 1)),
        gpu=Gpu(
            driver="580.1",
            cuda="13.0",
            devices=(GpuDevice(model="H100", capability="9.0", memory=80 << 30, mig=False),),
        ),
        cuda=(CudaLibrary(name="cudart", version="13.0", origin="wheel:x"),),
        project=Project(commit="c" * 40, dirty=False, tree=Digest("1" * 64)),
        gaps=(Gap(subject="s", reason="r"),),
    )
    found = facts(lock)
    assert found["format"] == 1
    assert found["runtime"] == "sha256:" + "5" * 64
    assert found["lock-sha256"] == Digest.of(b"lock").hex
    assert found["packages"] == {"a": "1"}
    assert found["python"] == {"version": "3.11.7", "implementation": "cpython"}
    assert found["cpu"] == {"model": "Test CPU", "isa": "x86-64-v3", "cores": 4}
    assert found["project"] == {"commit": "c" * 40, "dirty": False, "tree": "sha256:" + "1" * 64}
    assert found["gpu"] == {
        "driver": "580.1",
        "cuda": "13.0",
        "devices": [{"model": "H100", "capability": "9.0", "memory": 80 << 30, "mig": False}],
    }
    assert found["cuda"] == [{"name": "cudart", "version": "13.0", "origin": "wheel:x"}]
    assert found["gaps"] == [{"subject": "s", "reason": "r"}]
    assert facts(lock_of())["project"] is None
    project = facts(replace(lock, project=Project(dirty=True)))["project"]
    assert project == {"commit": None, "dirty": True, "tree": None}


def config(lock: Lock, **options: object) -> dict[str, object]:
    found = planned(lock, **options)
    layer = Layer(diff_id=Digest("2" * 64), blob=Digest("3" * 64), size=5, comment="made")
    image = finish(found, (layer,) * (len(found.groups) + len(found.own)))
    parsed: dict[str, object] = json.loads(image.config)
    assert len(parsed["history"]) == len(image.layers)  # type: ignore[arg-type] # a list
    return parsed


def test_the_config_is_the_contract() -> None:
    found = config(lock_of(sized("a", 1)), threads=3, isa="native", labels=(("team", "x"),))
    settings = found["config"]
    assert isinstance(settings, dict)
    assert settings["Entrypoint"] == ["/opt/envlock/bin/envlock-run"]
    assert (settings["User"], settings["WorkingDir"]) == ("65532:65532", "/work")
    environment = dict(entry.split("=", 1) for entry in settings["Env"])
    assert environment["PATH"].startswith("/opt/env/bin:/opt/python/bin:/usr/local/sbin:")
    assert (environment["HOME"], environment["USER"], environment["LOGNAME"]) == (
        "/tmp",  # noqa: S108 # the contract
        "envlock",
        "envlock",
    )
    assert environment["LANG"] == "C.UTF-8"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert (found["os"], found["architecture"], found["created"]) == (
        "linux",
        "amd64",
        "1980-01-01T00:00:00Z",
    )
    labels = settings["Labels"]
    assert labels["team"] == "x"
    assert labels["dev.envlock.runtime"] == "sha256:" + "5" * 64
    assert labels["dev.envlock.lock-sha256"] == Digest.of(b"lock").hex
    assert labels["dev.envlock.environment-id"].startswith("sha256:")
    assert labels["dev.envlock.format"]


def test_the_time_is_the_one_that_is_asked_for() -> None:
    assert config(lock_of(), created=1_700_000_000)["created"] == "2023-11-14T22:13:20Z"


def test_threads_are_asked_for_captured_or_the_cores() -> None:
    def threads(lock: Lock, **options: object) -> str:
        return dict(planned(lock, **options).environment)["OMP_NUM_THREADS"]

    captured = replace(lock_of(), cpu=replace(lock_of().cpu, threads=(("OMP_NUM_THREADS", "6"),)))
    nested = replace(lock_of(), cpu=replace(lock_of().cpu, threads=(("OMP_NUM_THREADS", "4,2"),)))
    assert [threads(lock_of()), threads(captured), threads(captured, threads=1), threads(nested)] == [
        "4",
        "6",
        "1",
        "4",
    ]


def test_labels_name_commit_and_base_where_they_are_known() -> None:
    lock = replace(
        lock_of(),
        project=Project(commit="c" * 40, remote="https://code.example/t.git"),
        base=Base(kind="oci", layers=(), reference="debian@sha256:x"),
        python=replace(lock_of().python, prefix="/usr"),
    )
    labels = dict(planned(lock).labels)
    assert labels["org.opencontainers.image.revision"] == "c" * 40
    assert labels["org.opencontainers.image.source"] == "https://code.example/t.git"
    assert labels["org.opencontainers.image.base.name"] == "debian@sha256:x"
    dirty = dict(planned(replace(lock, project=Project(commit="c" * 40, dirty=True))).labels)
    assert "org.opencontainers.image.revision" not in dirty
    assert "/opt/python" not in dict(planned(lock).environment)["PATH"]


def on_a_base(**facts: object) -> ImagePlan:
    base = Base(kind="registry", layers=base_layers(2), reference="team/base:1", python="/usr/bin/python3.11")
    return planned(replace(lock_of(), base=replace(base, **facts)))  # type: ignore[arg-type] # a Base's fields


def test_a_bases_variables_stay_but_for_those_of_the_contract() -> None:
    stated = (
        ("PATH", "/usr/local/cuda/bin:/usr/bin"),
        ("HOME", "/root"),
        ("LD_LIBRARY_PATH", "/usr/local/cuda/lib64"),
        ("NVIDIA_DRIVER_CAPABILITIES", "all"),
        ("PYTHONHASHSEED", "7"),
    )
    found = dict(on_a_base(environment=stated).environment)
    assert found["PATH"].startswith("/opt/env/bin:")
    assert found["PATH"].endswith(":/usr/local/cuda/bin:/usr/bin")
    assert found["HOME"] == "/tmp"  # noqa: S108 # the image's contract
    assert found["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "all"
    assert found["PYTHONHASHSEED"] == "0"


def test_a_bases_user_stays_where_it_is_not_root() -> None:
    users = {user: on_a_base(user=user).user for user in ("", "nonroot:nonroot")}
    assert users == {"": "65532:65532", "nonroot:nonroot": "nonroot:nonroot"}


def test_only_a_registrys_digest_is_that_of_a_manifest_for_the_label() -> None:
    label = "org.opencontainers.image.base.digest"
    digest = Digest.of(b"manifest")
    assert dict(on_a_base(digest=digest).labels)[label] == str(digest)
    assert label not in dict(on_a_base(digest=digest, kind="docker-daemon").labels)


def test_the_manifest_names_the_image_that_the_base_is_and_no_other() -> None:
    digest = Digest("1" * 64)
    base = Base(kind="registry", layers=(), reference="registry.example/python:3", digest=digest)
    manifest = json.loads(finish(planned(replace(lock_of(), base=base)), ()).manifest)
    assert manifest["annotations"] == {
        "org.opencontainers.image.base.digest": str(digest),
        "org.opencontainers.image.base.name": "registry.example/python:3",
    }
    assert "annotations" not in json.loads(finish(planned(lock_of()), ()).manifest)
