import struct
from dataclasses import replace

import pytest

from envlock.lock.environment import InstalledDistribution
from envlock.wheels import build_facts
from envlock.wheels.members import contents
from tests.wheels.conftest import Environment, wheel

GCC = "GCC: (Debian 12.2.0-14) 12.2.0"
RUST = "rustc version 1.90.0"


def object_file(comment: bytes, *, bits: int = 64, order: str = "<") -> bytes:
    """Return an ELF file that has nothing but the sections of names and of the compilers' comments."""
    wide = bits == 64
    names = b"\0.shstrtab\0.comment\0"
    head, shape = (64, "IIQQQQIIQQ") if wide else (52, "IIIIIIIIII")
    names_at = head
    comment_at = names_at + len(names)
    table = comment_at + len(comment)
    sections = [(0, 0, 0), (1, names_at, len(names)), (11, comment_at, len(comment))]
    rows = [struct.pack(order + shape, name, 1, 0, 0, at, size, 0, 0, 1, 0) for name, at, size in sections]
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    fields = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    rest = struct.pack(order + fields, 3, 62, 1, 0, 0, table, 0, head, 0, 0, len(rows[0]), len(rows), 1)
    return ident + rest + names + comment + b"".join(rows)


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_the_compilers_are_read_from_the_comment_section(bits: int, order: str) -> None:
    data = object_file(f"{GCC}\0{RUST}\0\0{GCC}\0".encode(), bits=bits, order=order)
    assert build_facts.compilers(data) == {GCC, RUST}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF",
        b"MZ" * 40,
        b"\x7fELF\x07\x01" + bytes(80),
        object_file(GCC.encode())[:90],
        object_file(b"\x1b[31mred\0" + b"x" * 300),
    ],
)
def test_what_is_no_such_file_names_no_compiler(data: bytes) -> None:
    assert build_facts.compilers(data) == frozenset()


def facts(distribution: InstalledDistribution, *others: InstalledDistribution) -> dict[str, str]:
    known = build_facts.Environment.of((distribution, *others))
    return dict(build_facts.read(distribution, contents(distribution).members, known))


def test_generator_and_compiler_of_a_built_package(environment: Environment) -> None:
    files = {
        "demo/_c.so": object_file(GCC.encode()),
        "demo/d.so": b"no ELF",
        "demo/e.so.1": b"\x7fELF",
        "x.py": b"",
    }
    installed = environment.install(wheel("demo", "1.0", files))
    assert facts(installed) == {"generator": "test", "compiler": GCC}


def test_envlock_s_own_wheels_name_no_generator(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", {"demo.py": b""}))
    name = f"{installed.dist_info}/WHEEL"
    assert facts(replace(installed, replaced=(name,))) == {}
    (environment.site / name).write_text("Wheel-Version: 1.0\nGenerator: envlock\n")
    assert facts(installed) == {}
    (environment.site / name).unlink()
    assert facts(installed) == {}


@pytest.mark.parametrize(
    ("line", "cuda"),
    [
        ("cuda: Optional[str] = '12.8'", {"cuda": "12.8"}),
        ("cuda = '11.8'", {"cuda": "11.8"}),
        ("cuda: Optional[str] = None", {}),
        ("cuda = (", {}),
        ("", {}),
    ],
)
def test_an_extension_of_torch_names_torch_and_cuda(
    environment: Environment, line: str, cuda: dict[str, str]
) -> None:
    torch = environment.install(
        wheel("torch", "2.13.0+cu128", {"torch/version.py": f"debug = 0\n{line}\n".encode()})
    )
    installed = environment.install(wheel("demo", "1.0", {"demo.py": b""}, requires=("Torch>=2", "?!")))
    assert facts(installed, torch) == {"generator": "test", "torch": "2.13.0+cu128", **cuda}
    assert facts(installed) == {"generator": "test"}
    unrelated = environment.install(wheel("other", "1.0", {"other.py": b""}))
    assert facts(unrelated, torch) == {"generator": "test"}


def test_a_torch_without_its_version_file_has_no_cuda(environment: Environment) -> None:
    torch = environment.install(wheel("torch", "1.0", {"torch/__init__.py": b""}))
    assert build_facts.Environment.of((torch,)).cuda is None


def test_an_extension_module_that_is_gone_is_passed_over(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", {"demo/_c.so": object_file(GCC.encode())}))
    members = contents(installed).members
    (environment.site / "demo/_c.so").unlink()
    known = build_facts.Environment(torch=None, cuda=None)
    assert dict(build_facts.read(installed, members, known)) == {"generator": "test"}
