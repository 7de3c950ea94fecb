import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.core.digest import Digest
from envlock.runtime.errors import InputError


@given(st.binary())
def test_text_form_parses_back_to_the_same_digest(data: bytes) -> None:
    digest = Digest.of(data)
    assert str(digest) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:" + "0" * 63,
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
        "0" * 64,
        f"sha256:{'0' * 64}\n",
    ],
)
def test_anything_but_a_lower_case_sha256_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Digest.parse(text)
    assert repr(text.partition(":")[2])[1:-1] in str(caught.value)
