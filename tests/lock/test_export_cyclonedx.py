import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from envlock.core.digest import Digest
from envlock.lock import codec
from envlock.lock.export import cyclonedx
from envlock.lock.identity import environment_id
from envlock.lock.model import CondaPackage, Lock, Package, SystemPackage
from tests.lock.conftest import NUMPY, TORCH

_VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def bom(lock: Lock) -> Any:
    """The bill of materials, held against the format's own schema."""
    data = cyclonedx.dumps(lock)
    assert _VALIDATOR.validate_str(data.decode()) is None
    return json.loads(data)


def component(lock: Lock, name: str) -> Any:
    (found,) = [one for one in bom(lock)["components"] if one["name"] == name]
    return found


def facts(value: Any) -> dict[str, str]:
    return {one["name"].removeprefix("envlock:"): one["value"] for one in value["properties"]}


def packaged(lock: Lock, package: Package) -> Any:
    alone = replace(package, dependencies=())
    return component(replace(lock, packages=(alone,)), package.name)


def test_it_names_the_environment_and_everything_in_it(lock: Lock) -> None:
    found = bom(lock)
    assert found["metadata"]["component"]["version"] == str(environment_id(lock))
    names = [one.name for one in lock.packages] + [one.name for one in lock.system_packages]
    names += [one.name for one in lock.conda]
    assert sorted(one["name"] for one in found["components"]) == sorted(["cpython", "debian", *names])
    assert {"numpy", "libc6"} <= set(names)
    assert {one["name"] for one in found["metadata"]["tools"]["components"]} == {"envlock"}


def needs(lock: Lock) -> dict[str, list[str]]:
    """Who depends on whom, by name; the environment is ``""``."""
    found = bom(lock)
    names = {one["bom-ref"]: one["name"] for one in found["components"]}
    names[found["metadata"]["component"]["bom-ref"]] = ""
    return {
        names[one["ref"]]: sorted(names[ref] for ref in one.get("dependsOn", []))
        for one in found["dependencies"]
    }


def test_the_environment_depends_on_what_nothing_in_it_needs(lock: Lock) -> None:
    found = needs(lock)
    assert found["torch"] == ["numpy"]
    everything = {one["name"] for one in bom(lock)["components"]}
    assert set(found[""]) == everything - {"numpy"}
    assert found["numpy"] == found["libc6"] == []


def test_what_a_lock_does_not_know_is_not_claimed(lock: Lock) -> None:
    bare = tuple(replace(one, dependencies=(), licences=()) for one in lock.packages)
    found = needs(replace(lock, packages=bare))
    assert set(found[""]) == {one["name"] for one in bom(lock)["components"]}
    assert "licenses" not in packaged(lock, bare[1])


def test_packages_that_need_each_other_are_reached_through_one_of_them(lock: Lock) -> None:
    numpy, torch = (
        replace(one, dependencies=(other.name,)) for one, other in ((NUMPY, TORCH), (TORCH, NUMPY))
    )
    found = needs(replace(lock, packages=(numpy, torch)))
    assert (found["numpy"], found["torch"]) == (["torch"], ["numpy"])
    assert {"numpy", "torch"} & set(found[""]) == {"numpy"}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (("BSD-3-Clause",), [{"expression": "BSD-3-Clause"}]),
        (("MIT OR Apache-2.0",), [{"expression": "MIT OR Apache-2.0"}]),
        (("BSD License",), [{"license": {"name": "BSD License"}}]),
        (("MIT License", "Zlib"), [{"license": {"name": "MIT License"}}, {"license": {"name": "Zlib"}}]),
    ],
)
def test_a_licence_is_what_the_package_declares(
    lock: Lock, stated: tuple[str, ...], expected: list[dict[str, Any]]
) -> None:
    for one in expected:
        one.get("license", one)["acknowledgement"] = "declared"
    assert packaged(lock, replace(NUMPY, licences=stated))["licenses"] == expected


def test_a_lock_with_little_in_it_is_valid_too(small_lock: Lock) -> None:
    assert len(bom(small_lock)["components"]) == 2


def test_gaps_base_and_cuda_libraries_are_told(lock: Lock) -> None:
    told = facts(bom(lock)["metadata"]["component"])
    assert told["gap:mine"] == "left out: an editable install"
    assert told["cuda:cudnn"] == "9.10.2 wheel:nvidia-cudnn-cu13"
    assert told["base:0"] == f"{lock.base.layers[0].diff_id} interpreter"
    assert told["platform"] == "linux/amd64"


def test_a_wheel_of_the_public_index_is_its_package_url_and_hash(lock: Lock) -> None:
    found = component(lock, "numpy")
    assert found["purl"] == "pkg:pypi/numpy@2.4.6"
    assert found["hashes"] == [{"alg": "SHA-256", "content": NUMPY.wheel.sha256.hex}]
    assert found["externalReferences"] == [{"type": "distribution", "url": NUMPY.wheel.url}]
    assert facts(found) == {
        "evidence": "matched",
        "index": "pypi",
        "source": "index",
        "wheel": NUMPY.wheel.name,
    }


def test_a_package_from_a_repository_names_its_commit(lock: Lock) -> None:
    found = component(lock, "torch")
    assert found["purl"] == (
        "pkg:pypi/torch@2.13.0%2Bcpu?vcs_url=git%2Bhttps://code.example/torch.git%400f9e"
    )
    assert found["externalReferences"] == [{"type": "vcs", "url": "git+https://code.example/torch.git"}]
    assert facts(found)["modified"] == "torch/version.py"


def test_a_repacked_wheel_is_told_from_the_index_s_by_its_checksum(lock: Lock) -> None:
    repacked = replace(TORCH, source="repacked", origin=(), build=(("compiler", "gcc 12"),), editable=True)
    found = packaged(lock, repacked)
    assert found["purl"] == f"pkg:pypi/torch@2.13.0%2Bcpu?checksum={TORCH.wheel.sha256}"
    assert facts(found)["build:compiler"] == "gcc 12"
    assert facts(found)["editable"] == "true"


def test_the_project_s_own_code_claims_no_place_on_the_public_index(lock: Lock) -> None:
    own = replace(TORCH, source="directory", origin=())
    assert packaged(lock, own)["purl"].startswith("pkg:generic/torch@2.13.0%2Bcpu?checksum=sha256:")


def test_files_that_nobody_owns_claim_no_place_either(lock: Lock) -> None:
    orphans = replace(TORCH, name="envlock-orphans", source="repacked", origin=())
    assert packaged(lock, orphans)["purl"].startswith("pkg:generic/envlock-orphans@")


def test_a_wheel_of_another_index_names_its_url(lock: Lock) -> None:
    other = replace(NUMPY, index="index.example/whl")
    assert packaged(lock, other)["purl"] == f"pkg:pypi/numpy@2.4.6?download_url={NUMPY.wheel.url}"


def test_a_url_that_people_type_is_a_reference_that_the_format_takes(lock: Lock) -> None:
    url = "https://index.example/my wheels/[new]/numpy-2.4.6-cp311-cp311-linux_x86_64.whl"
    found = packaged(lock, replace(NUMPY, wheel=replace(NUMPY.wheel, url=url)))
    escaped = url.replace(" ", "%20").replace("[", "%5B").replace("]", "%5D")
    assert found["externalReferences"] == [{"type": "distribution", "url": escaped}]


def test_what_the_lock_names_twice_is_one_component(lock: Lock) -> None:
    (package,) = (one for one in lock.system_packages if one.name == "libc6")
    assert component(replace(lock, system_packages=(package, package)), "libc6")["version"]


def test_a_repository_without_a_commit_is_named_alone(lock: Lock) -> None:
    found = packaged(lock, replace(TORCH, origin=(("url", "https://code.example/t.git"), ("vcs", "git"))))
    assert found["purl"].endswith("?vcs_url=git%2Bhttps://code.example/t.git")


@pytest.mark.parametrize(
    ("package", "purl"),
    [
        (
            SystemPackage(name="libc6", version="2.36-9+deb12u9", architecture="amd64"),
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12",
        ),
        (
            SystemPackage(name="glibc", version="1:2.34-100.el9", architecture="x86_64", manager="rpm"),
            "pkg:rpm/debian/glibc@2.34-100.el9?arch=x86_64&distro=debian-12&epoch=1",
        ),
        (
            SystemPackage(name="musl", version="1.2.5-r0", architecture="x86_64", manager="apk"),
            "pkg:apk/debian/musl@1.2.5-r0?arch=x86_64&distro=debian-12",
        ),
    ],
)
def test_an_os_package_has_its_manager_s_package_url(lock: Lock, package: SystemPackage, purl: str) -> None:
    found = component(replace(lock, system_packages=(package,)), package.name)
    assert found["purl"] == purl
    assert found["version"] == package.version
    assert "hashes" not in found


def test_an_os_package_s_archive_is_told_where_it_is_known(lock: Lock) -> None:
    digest = Digest.of(b"libc6")
    known = replace(lock.system_packages[0], sha256=digest, snapshot="20261101T000000Z")
    found = component(replace(lock, system_packages=(known,)), "libc6")
    assert found["hashes"] == [{"alg": "SHA-256", "content": digest.hex}]
    assert facts(found) == {"snapshot": "20261101T000000Z"}


def test_a_conda_package_has_its_build_channel_and_hashes(lock: Lock) -> None:
    conda = CondaPackage(
        name="mkl",
        version="2024.0.0",
        build="h1_0",
        channel="conda-forge",
        url="https://conda.example/conda-forge/linux-64/mkl-2024.0.0-h1_0.conda",
        sha256=Digest.of(b"mkl"),
        md5="0" * 32,
    )
    found = component(replace(lock, conda=(conda,)), "mkl")
    assert found["purl"] == (
        "pkg:conda/mkl@2024.0.0?build=h1_0&channel=conda-forge&subdir=linux-64&type=conda"
    )
    assert {one["alg"] for one in found["hashes"]} == {"SHA-256", "MD5"}
    older = replace(conda, url="https://conda.example/main/noarch/mkl-2024.0.0-h1_0.tar.bz2", md5=None)
    assert component(replace(lock, conda=(older,)), "mkl")["purl"].endswith("&subdir=noarch&type=tar.bz2")
    bare = replace(conda, url=None, sha256=None, md5=None)
    assert component(replace(lock, conda=(bare,)), "mkl")["purl"].endswith("?build=h1_0&channel=conda-forge")


def test_another_interpreter_than_cpython_has_no_name_in_the_vulnerability_lists(lock: Lock) -> None:
    assert component(lock, "cpython")["cpe"] == "cpe:2.3:a:python:python:3.11.7:*:*:*:*:*:*:*"
    pypy = component(replace(lock, python=replace(lock.python, implementation="pypy")), "pypy")
    assert pypy["purl"] == "pkg:generic/pypy@3.11.7"
    assert "cpe" not in pypy


def test_the_same_lock_gives_the_same_bytes_in_another_process(lock: Lock) -> None:
    program = (
        "import sys\n"
        "from envlock.lock import codec\n"
        "from envlock.lock.export import cyclonedx\n"
        "sys.stdout.buffer.write(cyclonedx.dumps(codec.loads(sys.stdin.buffer.read(), 'lock')))"
    )
    text = codec.dumps(lock)
    seeds = ("1", "4294967295")
    made = [
        subprocess.run(
            [sys.executable, "-c", program],
            input=text,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "TZ": "Pacific/Kiritimati"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in seeds
    ]
    assert made == [cyclonedx.dumps(codec.loads(text, "lock"))] * 2
