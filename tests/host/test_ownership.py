import os
from pathlib import Path

import pytest

from envlock.host.ownership import lent

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can lend")


def test_what_the_other_user_makes_is_the_callers_afterwards(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with lent((tmp_path, tmp_path), 65532, 65533):
        assert (tmp_path.stat().st_uid, tmp_path.stat().st_gid) == (65532, 65533)
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "made").touch()
        (tmp_path / "link").symlink_to("/etc/passwd")
        os.chown(tmp_path / "mine", 1234, 1234)
        for name in ("below", "below/made", "link"):
            os.chown(tmp_path / name, 65532, 65533, follow_symlinks=False)
    owners = {name: os.lstat(tmp_path / name).st_uid for name in (".", "below", "below/made", "link", "mine")}
    assert owners == {".": 0, "below": 0, "below/made": 0, "link": 0, "mine": 1234}
    assert Path("/etc/passwd").stat().st_uid == 0


def test_an_error_in_the_block_gives_the_place_back(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="job"), lent((tmp_path,), 65532, 65532):
        raise ValueError("job")
    assert tmp_path.stat().st_uid == 0
