"""What is inside outputs whose bytes differ: files of each format that is read, damaged ones too."""

import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.replay.contents import files
from envlock.replay.contents.findings import Distance, Inside, PartDifference
from envlock.replay.contents.tensor import Tensor, distance

Write = Callable[[Path, dict[str, Any]], None]
_HEADER = b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
# A zip of one member without bytes, packed by a method that Python does not know (APPNOTE 4.4.5: 99).
_UNKNOWN_METHOD = bytes.fromhex(
    "504b0304140000006300000021000000000000000000000000000100000061"
    "504b01021400140000006300000021000000000000000000000000000100000000000000000000000000000000"
    "0061504b050600000000010001002f0000001f0000000000"
)
_packed = io.BytesIO()
with zipfile.ZipFile(_packed, "w") as _archive:
    _archive.writestr(zipfile.ZipInfo("config.json"), b'{"layers": [')
_CONFIGURATION_CUT = _packed.getvalue()
_CUT = struct.pack("<Q", len(_HEADER)) + _HEADER + b"12345"


def write_npz(file: Path, arrays: dict[str, Any]) -> None:
    np.savez(file, **arrays)


def write_compressed_npz(file: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(file, **arrays)


def write_safetensors(file: Path, arrays: dict[str, Any]) -> None:
    codes = {"float32": "F32", "float64": "F64", "int64": "I64", "bool": "BOOL"}
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    body = b""
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": codes[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


def torch_file(file: Path, pickled: bytes, storages: dict[str, bytes]) -> None:
    """Write a zip as torch.save does. The pickle is hand-made, as torch need not be here."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", pickled)
        archive.writestr("model/byteorder", "little")
        for key, data in storages.items():
            archive.writestr(f"model/data/{key}", data)


def look(tmp_path: Path, suffix: str, write: Write, first: dict[str, Any], second: dict[str, Any]) -> Inside:
    places = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    for place, arrays in zip(places, (first, second), strict=True):
        write(place, arrays)
    return files.look(f"out/x{suffix}", 1, *places)


FORMATS = [
    pytest.param(".npz", write_npz, id="npz"),
    pytest.param(".npz", write_compressed_npz, id="npz-compressed"),
    pytest.param(".safetensors", write_safetensors, id="safetensors"),
]


@pytest.mark.parametrize(("suffix", "write"), FORMATS)
def test_a_tensor_that_differs_is_named_with_how_far_it_is_apart(
    tmp_path: Path, suffix: str, write: Write
) -> None:
    weight = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)
    other = weight.copy()
    other[1, 1] = np.nextafter(other[1, 1], np.float32(9), dtype=np.float32)
    same = {"bias": np.arange(3, dtype=np.int64), "mask": np.array([True])}
    found = look(tmp_path, suffix, write, {"weight": weight, **same}, {"weight": other, **same})
    apart = float(other[1, 1]) - float(weight[1, 1])
    assert found == Inside(
        path=f"out/x{suffix}",
        run=1,
        parts=3,
        differing=(
            PartDifference(
                name="weight",
                first="float32[2, 3]",
                second="float32[2, 3]",
                distance=Distance(elements=1, of=6, ulp=1, absolute=apart, nan=0),
            ),
        ),
    )
    assert not found.same


@pytest.mark.parametrize(("suffix", "write"), FORMATS)
def test_the_first_that_differs_is_the_first_in_the_file(tmp_path: Path, suffix: str, write: Write) -> None:
    first = {name: np.zeros(2) for name in ("z", "a", "m")}
    second = {name: np.ones(2) for name in ("z", "a", "m")}
    found = look(tmp_path, suffix, write, first, second)
    assert [part.name for part in found.differing] == ["z", "a", "m"]


@pytest.mark.parametrize(("suffix", "write"), FORMATS)
def test_a_part_of_one_side_and_another_shape_are_told(tmp_path: Path, suffix: str, write: Write) -> None:
    found = look(
        tmp_path,
        suffix,
        write,
        {"a": np.zeros(2, np.float32), "b": np.zeros(2)},
        {"a": np.zeros((2, 1), np.float32), "c": np.zeros(2)},
    )
    assert [(part.name, part.first, part.second, part.distance) for part in found.differing] == [
        ("a", "float32[2]", "float32[2, 1]", None),
        ("b", "float64[2]", None, None),
        ("c", None, "float64[2]", None),
    ]


def test_the_same_arrays_in_another_zip_are_the_same(tmp_path: Path) -> None:
    arrays = {"a": np.arange(4.0), "b": np.arange(2)}
    write_npz(tmp_path / "first.npz", arrays)
    write_compressed_npz(tmp_path / "second.npz", dict(reversed(arrays.items())))
    found = files.look("x.npz", 1, tmp_path / "first.npz", tmp_path / "second.npz")
    assert (found.same, found.parts) == (True, 2)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i2", "<c16", "<U3", "?"])
def test_byte_order_and_layout_are_no_difference(tmp_path: Path, dtype: str) -> None:
    array = np.array([[1, 0, 2], [3, 1, 0]]).astype(dtype)
    np.save(tmp_path / "first.npy", array)
    np.save(tmp_path / "second.npy", np.asfortranarray(array.astype(array.dtype.newbyteorder("<"))))
    assert files.look("x.npy", 1, tmp_path / "first.npy", tmp_path / "second.npy").same


def write_zip(file: Path, day: int, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, day, 0, 0, 0)), data)


def write_gz(file: Path, day: int, files: Mapping[str, bytes]) -> None:
    file.write_bytes(gzip.compress(files["b"], mtime=day))


@pytest.mark.parametrize(
    ("suffix", "write", "name"),
    [(".zip", write_zip, "b"), (".keras", write_zip, "b"), (".gz", write_gz, "value")],
)
def test_in_an_archive_times_do_not_count_and_bytes_do(
    tmp_path: Path, suffix: str, write: Callable[[Path, int, Mapping[str, bytes]], None], name: str
) -> None:
    a, b, c, d = (tmp_path / f"{one}{suffix}" for one in "abcd")
    write(a, 1, {"b": b"1234", "c": b"5"})
    write(b, 2, {"b": b"1234", "c": b"5"})
    write(c, 1, {"b": b"12xx", "c": b"5"})
    write(d, 1, {"b": b"123", "c": b"5"})
    assert a.read_bytes() != b.read_bytes()
    assert files.look(f"x{suffix}", 1, a, b).same
    apart = Distance(elements=2, of=4, ulp=None, absolute=None, nan=0)
    assert files.look(f"x{suffix}", 1, a, c).differing == (
        PartDifference(name=name, first="bytes[4]", second="bytes[4]", distance=apart),
    )
    assert [one.second for one in files.look(f"x{suffix}", 1, a, d).differing] == ["bytes[3]"]


def keras_model(shared: tuple[int, ...], day: int) -> dict[str, bytes]:
    layers = [{"config": {"dtype": {"shared_object_id": number}}} for number in shared]
    return {
        "metadata.json": b"%d" % day,
        "config.json": json.dumps({"layers": layers}).encode(),
        "model.weights.h5": b"w",
    }


@pytest.mark.parametrize(
    ("shared", "differing"),
    [
        ((9, 9, 4), ()),
        ((9, 4, 4), ("config.json.layers[1].config.dtype.shared_object_id",)),
    ],
)
def test_of_a_keras_model_time_and_addresses_are_no_result(
    tmp_path: Path, shared: tuple[int, ...], differing: tuple[str, ...]
) -> None:
    write_zip(tmp_path / "a.keras", 1, keras_model((7, 7, 8), 1))
    write_zip(tmp_path / "b.keras", 2, keras_model(shared, 2))
    found = files.look("x.keras", 1, tmp_path / "a.keras", tmp_path / "b.keras")
    assert found.unread is None
    assert tuple(part.name for part in found.differing) == differing


def test_json_is_compared_by_key(tmp_path: Path) -> None:
    first = {"loss": [0.5, 0.25], "name": "a", "steps": 1, "same": {"x": None}, "empty": {}}
    second = {"same": {"x": None}, "steps": 1.0, "name": "b", "loss": [0.5, 0.2500000000000001], "empty": []}
    for name, value in (("first", first), ("second", second)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    found = files.look("x.json", 1, tmp_path / "first.json", tmp_path / "second.json")
    assert found.parts == 6
    assert {part.name: (part.first, part.second) for part in found.differing} == {
        "loss[1]": ("0.25", "0.2500000000000001"),
        "name": ("a", "b"),
        "steps": ("1", "1.0"),
        "empty": ("{}", "[]"),
    }
    (loss, *_) = found.differing
    assert loss.distance == Distance(elements=1, of=1, ulp=2, absolute=0.2500000000000001 - 0.25, nan=0)


def test_json_in_another_order_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": NaN, "b": [1, {"c.d": 2}]}')
    (tmp_path / "b.json").write_text('{"b": [1, {"c.d": 2}],\n "a": NaN}')
    assert files.look("x.json", 1, tmp_path / "a.json", tmp_path / "b.json").same
    (tmp_path / "c.json").write_text('{"b": [1, {"c": {"d": 2}}], "a": NaN}')
    assert not files.look("x.json", 1, tmp_path / "a.json", tmp_path / "c.json").same


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".json", b"{"),
        (".json", b"\xff"),
        (".npy", b""),
        (".npy", b"\x93NUMPY\x01\x00"),
        (".npy", b"something else"),
        (".npz", b"PK\x03\x04"),
        (".safetensors", b"\x01"),
        (".safetensors", struct.pack("<Q", 1 << 62) + b"{}"),
        (".safetensors", struct.pack("<Q", 8) + b'{"a": 1}'),
        (".safetensors", _CUT),
        (".pt", b"\x80\x02}q\x00."),
        (".keras", b"PK\x03\x04"),
        (".keras", _CONFIGURATION_CUT),
        (".zip", _UNKNOWN_METHOD),
        (".gz", b"\x1f\x8b\x08\x00"),
        (".gz", gzip.compress(b"1" * 99, mtime=0)[:-9] + bytes(9)),
    ],
)
def test_a_damaged_file_is_told_and_differs(tmp_path: Path, suffix: str, data: bytes) -> None:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(data)
    found = files.look(f"x{suffix}", 1, file, file)
    assert found.unread is not None
    assert str(file) in found.unread
    assert not found.same


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    found = files.look("x.npy", 1, tmp_path / "x.npy", tmp_path / "x.npy")
    assert "Python objects" in str(found.unread)


class Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("harm"),)  # type: ignore[return-value]


def test_a_torch_file_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch_file(tmp_path / "x.pt", pickle.dumps({"a": Harm()}), {})
    found = files.look("x.pt", 1, tmp_path / "x.pt", tmp_path / "x.pt")
    assert "holds an object that is not read: found pathlib" in str(found.unread)
    assert not Path("harm").exists()


def test_plain_data_in_a_torch_file_is_read(tmp_path: Path) -> None:
    for name, step in (("a", 1), ("b", 2)):
        torch_file(
            tmp_path / f"{name}.pt", pickle.dumps(OrderedDict(step=step, lr=[0.1], ids={0: "x"}), 2), {}
        )
    found = files.look("x.pt", 1, tmp_path / "a.pt", tmp_path / "b.pt")
    assert [(part.name, part.first, part.second) for part in found.differing] == [("step", "1", "2")]
    assert found.parts == 3


def test_a_kind_that_is_not_read_is_said(tmp_path: Path) -> None:
    found = files.look("out/x.h5", 1, tmp_path / "a.h5", tmp_path / "b.h5")
    assert found.unread == "files of this kind are not read: x.h5"


def tensor(dtype: str, data: "np.ndarray[Any, Any]") -> Tensor:
    return Tensor(dtype=dtype, shape=data.shape, data=np.ascontiguousarray(data).reshape(-1).view(np.uint8))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@given(steps=st.integers(1, 200), start=st.floats(-2, 2, width=16))
def test_ulps_are_counted_across_zero(kind: type[np.floating[Any]], steps: int, start: float) -> None:
    first = np.array([start], kind)
    second = first
    for _ in range(steps):
        second = np.nextafter(second, kind(9))
    crossed = bool(first[0] <= 0 < second[0]) and np.signbit(first[0]) != np.signbit(second[0])
    found = distance(tensor(first.dtype.name, first), tensor(first.dtype.name, second))
    assert found.ulp in ((steps, steps - 1) if crossed else (steps,))
    assert found.absolute == float(second[0]) - float(first[0])


def test_zeros_of_both_signs_are_other_bits_and_no_ulp_apart() -> None:
    found = distance(*(tensor("float32", np.array([zero], np.float32)) for zero in (0.0, -0.0)))
    assert found == Distance(elements=1, of=1, ulp=0, absolute=0.0, nan=0)


def test_the_widest_distance_needs_all_64_bits() -> None:
    ends = [tensor("float64", np.array([value])) for value in (-np.inf, np.inf)]
    assert distance(*ends) == Distance(elements=1, of=1, ulp=2 * 0x7FF << 52, absolute=float("inf"), nan=0)


def test_nan_is_counted_and_has_no_distance() -> None:
    first = np.array([np.nan, 1.0, np.inf, 2.0])
    second = np.array([1.0, np.nan, np.inf, 3.0])
    found = distance(tensor("float64", first), tensor("float64", second))
    assert (found.elements, found.nan, found.absolute) == (3, 2, 1.0)


def test_bfloat16_and_complex_have_distances() -> None:
    brain = [tensor("bfloat16", np.array([bits], "<u2")) for bits in (0x3F80, 0x3F81)]
    assert distance(*brain) == Distance(elements=1, of=1, ulp=1, absolute=2.0**-7, nan=0)
    plane = [tensor("complex64", np.array([value], np.complex64)) for value in (1 + 2j, 1 + 2.5j)]
    assert distance(*plane).absolute == 0.5


def test_types_without_numbers_have_elements_only() -> None:
    eight = [tensor("float8_e4m3fn", np.array([bits, 7], np.uint8)) for bits in (1, 2)]
    assert distance(*eight) == Distance(elements=1, of=2, ulp=None, absolute=None, nan=0)


@pytest.mark.parametrize("size", [1 << 22, (1 << 22) + 1])
def test_large_tensors_are_compared_to_the_end(size: int) -> None:
    first = np.zeros(size, np.int8)
    second = first.copy()
    second[-1] = -3
    found = distance(tensor("int8", first), tensor("int8", second))
    assert found == Distance(elements=1, of=size, ulp=None, absolute=3.0, nan=0)


_SAVE = """
import sys, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(8, 4)).sum().backward(); optimizer.step()
if sys.argv[2] == "other":
    with torch.no_grad():
        model[0].weight.t()[1, 2] += 1
everything = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 1,
    "view": torch.arange(12, dtype=torch.bfloat16).reshape(3, 4).t()[1:], "parameter": model[0].bias,
    "empty": torch.zeros(0, 3), "size": torch.Size([2]), "dtype": torch.float32, "type": torch.tensor(True)}
torch.save(everything, sys.argv[1])
"""


@pytest.mark.slow
def test_what_torch_really_saves_is_read(tmp_path: Path, frameworks_python: str) -> None:
    for name, which in (("a", "same"), ("b", "other")):
        subprocess.run([frameworks_python, "-c", _SAVE, tmp_path / f"{name}.pt", which], check=True)
    found = files.look("x.pt", 1, tmp_path / "a.pt", tmp_path / "b.pt")
    assert [(part.name, part.second) for part in found.differing] == [("model.0.weight", "float32[3, 4]")]
    apart = found.differing[0].distance
    assert apart is not None
    assert (apart.elements, apart.of) == (1, 12)
    assert found.unread is None
    assert found.parts > 20


_SAVE_KERAS = """
import sys, numpy, keras
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(2)])
model.set_weights([numpy.full(one.shape, 0.5) for one in model.get_weights()])
model.compile("adam", "mse")
if sys.argv[2] == "other":
    model.layers[1].set_weights([numpy.ones((2, 2)), numpy.zeros(2)])
model.save(sys.argv[1])
"""


@pytest.mark.slow
def test_what_keras_really_saves_is_read(tmp_path: Path, frameworks_python: str) -> None:
    a, b, c = (tmp_path / f"{name}.keras" for name in "abc")
    for place, which in ((a, "same"), (b, "same"), (c, "other")):
        command = [frameworks_python, "-c", _SAVE_KERAS, str(place), which]
        subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": "torch"})
    assert a.read_bytes() != b.read_bytes()
    found = files.look("x.keras", 1, a, b)
    assert (found.unread, found.differing) == (None, ())
    assert [part.name for part in files.look("x.keras", 1, a, c).differing] == ["model.weights.h5"]
