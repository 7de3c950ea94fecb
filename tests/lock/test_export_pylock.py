import sys
from dataclasses import replace

from packaging.pylock import Pylock

from envlock.lock import codec
from envlock.lock.export import pylock
from envlock.lock.model import Lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_it_is_a_valid_lockfile_without_envlock_s_tables(lock: Lock) -> None:
    text = pylock.dumps(lock).decode()
    document = tomllib.loads(text)
    Pylock.from_dict(document).validate()
    assert "tool" not in text


def test_an_installer_sees_what_it_sees_in_the_lock(lock: Lock) -> None:
    plain = tomllib.loads(pylock.dumps(lock).decode())
    whole = tomllib.loads(codec.dumps(lock).decode())
    del whole["tool"]
    for package in whole["packages"]:
        del package["tool"]
    assert plain == whole
    assert plain["packages"][1]["wheels"][0]["path"] == lock.packages[1].wheel.path


def test_the_order_of_the_lock_does_not_matter(lock: Lock) -> None:
    turned = replace(lock, packages=tuple(reversed(lock.packages)))
    assert pylock.dumps(turned) == pylock.dumps(lock)
