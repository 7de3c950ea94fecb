"""What of the machine a process may use, by its control groups."""

import os
from pathlib import Path

import pytest

from envlock.runtime import hostfacts, limits


def write(root: Path, group: str, files: dict[str, str]) -> None:
    for place, text in {
        "proc/self/cgroup": group,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000"}, 3),
        ("0::/job/step\n", {"job/cpu.max": "100000 100000", "job/step/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "1000 100000"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
        (
            "3:memory:/m\n2:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "400000\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
            4,
        ),
        ("2:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_cores_are_cut_by_the_control_group(
    tmp_path: Path, group: str, files: dict[str, str], expected: int
) -> None:
    write(tmp_path, group, files)
    assert limits.cores(8, str(tmp_path)) == expected


@pytest.mark.parametrize(
    ("group", "files", "expected"),
    [
        ("", {}, 1000),
        ("0::/\n", {"memory.max": "max\n"}, 1000),
        ("0::/\n", {"memory.max": "2000\n"}, 1000),
        ("0::/job/step\n", {"job/memory.max": "300\n", "job/step/memory.max": "max\n"}, 300),
        ("3:memory:/m\n2:cpu:/job\n", {"memory/m/memory.limit_in_bytes": "400\n"}, 400),
        ("3:memory:/m\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1000),
    ],
)
def test_memory_is_cut_by_the_control_group(
    tmp_path: Path, group: str, files: dict[str, str], expected: int
) -> None:
    write(tmp_path, group, files)
    assert limits.memory(1000, str(tmp_path)) == expected


def test_a_host_is_what_the_job_may_use_of_it(tmp_path: Path) -> None:
    write(tmp_path, "0::/\n", {"cpu.max": "100000 100000\n", "memory.max": "4096\n"})
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1024 kB\n")
    found = hostfacts.read(str(tmp_path))
    assert (found.cores, found.memory) == (1, 4096)
    assert hostfacts.read("/").cores <= len(os.sched_getaffinity(0))
