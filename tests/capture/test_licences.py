from email.parser import HeaderParser

import pytest

from envlock.capture import licences


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            "License-Expression: mit or apache-2.0\nClassifier: License :: OSI Approved\n",
            ("MIT OR Apache-2.0",),
        ),
        ("License-Expression: Some-Own\nLicense: MIT\n", ("Some-Own",)),
        ("License: BSD-3-Clause\nClassifier: License :: OSI Approved :: BSD License\n", ("BSD-3-Clause",)),
        (
            (
                "License: Apache 2.0\nClassifier: License :: OSI Approved :: Apache Software License\n"
                "Classifier: License :: OSI Approved\nClassifier: License :: Other/Proprietary License\n"
                "Classifier: Topic :: Software Development\n"
            ),
            ("Apache Software License", "Other/Proprietary License"),
        ),
        ("License: Apache 2.0\n", ("Apache 2.0",)),
        ("License: UNKNOWN\n", ()),
        ("License: Copyright (c) Ann\n  Permission is hereby granted\n", ()),
        (f"License: {'word ' * 30}\n", ()),
        ("Name: demo\n", ()),
    ],
)
def test_the_licence_is_the_most_exact_of_what_the_metadata_says(
    metadata: str, expected: tuple[str, ...]
) -> None:
    assert licences.read(HeaderParser().parsestr(metadata)) == expected
