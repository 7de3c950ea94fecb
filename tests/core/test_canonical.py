import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.core import canonical

_SAFE = st.integers(min_value=-(2**53 - 1), max_value=2**53 - 1)
_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | _SAFE | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=20,
)


@given(_VALUES)
def test_canonical_bytes_are_json_of_the_same_value(value: object) -> None:
    assert json.loads(canonical.dumps(value)) == value


def test_members_sort_by_utf16_code_units_as_rfc_8785_section_3_2_3_demands() -> None:
    # The example of RFC 8785 section 3.2.3: U+1F600 sorts before U+FB33, since its first surrogate is D83D.
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    keys = json.loads(
        canonical.dumps(dict.fromkeys(names, 0)), object_pairs_hook=lambda pairs: [k for k, _ in pairs]
    )
    assert keys == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_control_characters_are_escaped_and_nothing_else() -> None:
    assert canonical.dumps('\u0001\n"\\/é€') == '"\\u0001\\n\\"\\\\/é€"'.encode()


@pytest.mark.parametrize("value", [1.5, 2**53, {1: 2}, {"a": object()}, b"bytes"])
def test_what_has_no_exact_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical.dumps(value)
