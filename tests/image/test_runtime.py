from dataclasses import replace

from envlock.image.runtime import digest, runtime_files


def test_the_runtime_is_python_files_the_launcher_one_library_and_three_open_directories() -> None:
    found = runtime_files()
    paths = {file.path.text: file for file in found.files}
    assert paths["/opt/envlock/bin/envlock-run"].mode == 0o755
    launcher = paths["/opt/envlock/bin/envlock-run"].data
    assert launcher is not None
    assert launcher.startswith(b"#!/opt/env/bin/python -IS\n")
    assert "/opt/envlock/runtime/envlock/__init__.py" in paths
    assert "/opt/envlock/runtime/envlock/runtime/errors.py" in paths
    assert "/opt/envlock/lib/yaml/loader.py" in paths
    assert {path for path, file in paths.items() if file.data is None} == {"/out", "/tmp", "/work"}  # noqa: S108
    assert all(file.mode == 0o1777 for file in found.files if file.data is None)
    files = [path for path, file in paths.items() if file.data is not None and "/bin/" not in path]
    assert [path for path in files if not path.endswith(".py")] == ["/opt/envlock/lib/libenvlock-mkl.so"]


def test_the_digest_names_every_path_mode_and_byte() -> None:
    found = runtime_files()
    assert found.digest == runtime_files().digest == digest(found.files)
    first = found.files[0]
    for other in (replace(first, mode=0o600), replace(first, data=b"x")):
        assert digest((other, *found.files[1:])) != found.digest
