"""Which variables are baked, and which a run replaces."""

import os
import subprocess
import sys

import numpy as np
import pytest

from envlock.runtime import determinism
from envlock.runtime.errors import InputError


def baked(packages: dict[str, str], isa: str = "portable") -> dict[str, str]:
    return determinism.image_environment(threads=4, isa=isa, packages=packages, machine="x86_64")


def test_an_environment_of_no_framework_gets_threads_and_the_hash_seed() -> None:
    assert baked({}) == {
        "MKL_DYNAMIC": "FALSE",
        "MKL_NUM_THREADS": "4",
        "NUMEXPR_NUM_THREADS": "4",
        "OMP_DYNAMIC": "FALSE",
        "OMP_NUM_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "4",
        "PYTHONHASHSEED": "0",
    }


def test_torch_on_a_cpu_gets_the_avx2_paths_and_nothing_of_cuda() -> None:
    made = baked({"torch": "2.13.0+cpu", "numpy": "2.4.6"})
    assert made["ATEN_CPU_CAPABILITY"] == "avx2"
    assert made["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert made["MKL_CBWR"] == "COMPATIBLE"
    assert made["ENVLOCK_MKL"] == "/opt/envlock/lib/libenvlock-mkl.so"
    assert made["OPENBLAS_CORETYPE"] == "Haswell"
    assert made["OPENBLAS_L2_SIZE"] == "256"
    assert not [name for name in made if name.startswith(("CUBLAS", "NCCL", "NVIDIA", "TF_", "XLA"))]


@pytest.mark.parametrize(("level", "threads"), [("strict", "1"), ("warn", "1"), ("none", None)])
def test_polars_gets_one_thread_unless_nothing_shall_cost_speed(level: str, threads: str | None) -> None:
    packages = {"polars-lts-cpu": "1.35.2"}
    assert baked(packages)["POLARS_MAX_THREADS"] == "1"
    made = determinism.job_environment(
        level=level, threads=4, isa="native", packages=packages, machine="x86_64", hash_seed=1
    )
    assert made.get("POLARS_MAX_THREADS") == threads


def test_native_leaves_every_choice_of_kernels_free() -> None:
    made = baked({"torch": "2.13.0+cpu", "numpy": "2.4.6", "tensorflow-cpu": "2.21.0"}, isa="native")
    assert not set(made) & {
        "ATEN_CPU_CAPABILITY",
        "ENVLOCK_MKL",
        "ONEDNN_MAX_CPU_ISA",
        "MKL_CBWR",
        "NPY_DISABLE_CPU_FEATURES",
    }
    assert made["TF_NUM_INTRAOP_THREADS"] == made["TF_NUM_INTEROP_THREADS"] == "4"


@pytest.mark.parametrize(
    "packages",
    [{"torch": "2.13.0"}, {"nvidia-cublas-cu12": "12.8"}, {"tensorflow": "2.21.0"}, {"cupy-cuda12x": "13"}],
)
def test_gpu_builds_get_the_cuda_switches(packages: dict[str, str]) -> None:
    made = baked(packages)
    assert made["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert made["NVIDIA_TF32_OVERRIDE"] == "0"
    assert ("NCCL_PROTO" in made) == bool({"torch", "tensorflow"} & set(packages))


def test_the_nvml_binding_alone_is_no_gpu_build() -> None:
    assert "CUBLAS_WORKSPACE_CONFIG" not in baked({"nvidia-ml-py": "13.0"})


@pytest.mark.parametrize(
    ("packages", "flag"),
    [
        ({"jax": "0.10.2", "jaxlib": "0.10.2"}, "--xla_cpu_max_isa=AVX2"),
        ({"jax": "0.4.30", "jaxlib": "0.4.30"}, None),
        ({"jaxlib": "0.10.2", "tensorflow-cpu": "2.21.0"}, None),
    ],
)
def test_xla_flags_only_where_every_xla_knows_them(packages: dict[str, str], flag: str | None) -> None:
    assert baked(packages).get("XLA_FLAGS") == flag


@pytest.mark.parametrize(
    ("version", "first"),
    [("2.4.6", "X86_V4"), ("2.3.5", "AVX512F"), ("1.26.4", "AVX512F"), ("odd", "AVX512F")],
)
def test_numpy_features_follow_its_version(version: str, first: str) -> None:
    assert baked({"numpy": version})["NPY_DISABLE_CPU_FEATURES"].split()[0] == first


def test_the_installed_numpy_knows_every_feature_that_is_disabled() -> None:
    features = baked({"numpy": np.__version__})["NPY_DISABLE_CPU_FEATURES"]
    code = (
        "from numpy._core._multiarray_umath import __cpu_features__ as has\n"
        f"assert not [name for name in {features.split()} if has[name]]\n"
    )
    env = {**os.environ, "NPY_DISABLE_CPU_FEATURES": features}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_portable_elsewhere_than_on_x86_64_suggests_native() -> None:
    with pytest.raises(InputError) as caught:
        determinism.image_environment(threads=1, isa="portable", packages={}, machine="aarch64")
    assert "native" in str(caught.value.hint)
    assert determinism.default_isa("aarch64") == "native"
    assert determinism.default_isa("x86_64") == "portable"


def test_the_level_none_asks_for_nothing_that_costs_a_gpu_speed() -> None:
    wanted = {
        level: determinism.job_environment(
            level=level, threads=1, isa="native", packages={"torch": "2.13.0"}, machine="x86_64", hash_seed=7
        )
        for level in ("none", "warn", "strict")
    }
    assert wanted["warn"] == wanted["strict"]
    assert set(wanted["warn"]) - set(wanted["none"]) == {
        "CUBLAS_WORKSPACE_CONFIG",
        "NCCL_ALGO",
        "NCCL_NVLS_ENABLE",
        "NCCL_PROTO",
        "NVIDIA_TF32_OVERRIDE",
    }
    assert wanted["none"]["PYTHONHASHSEED"] == "7"


def test_only_what_equals_its_baked_value_is_replaced() -> None:
    found = determinism.resolve(
        environ={"SAME": "1", "USERS": "9", "GONE": "1", "AGREED": "2", "ADDED": "5"},
        baked={"SAME": "1", "USERS": "1", "GONE": "1", "AGREED": "1", "CLEARED": "1"},
        wanted={"SAME": "2", "USERS": "2", "NEW": "3", "AGREED": "2", "ADDED": "4"},
    )
    assert dict(found.values) == {"SAME": "2", "USERS": "9", "NEW": "3", "AGREED": "2", "ADDED": "5"}
    assert found.removed == ("CLEARED", "GONE")
    assert found.kept == (("ADDED", "5", "4"), ("USERS", "9", "2"))
