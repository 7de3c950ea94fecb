from email.parser import HeaderParser

import pytest
from packaging.licenses import canonicalize_license_expression
from trove_classifiers import classifiers

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
        ("License: MIT style\nClassifier: License :: OSI Approved :: MIT License\n", ("MIT",)),
        ("Classifier: License :: OSI Approved :: BSD License\n", ("BSD License",)),
        (
            (
                "Classifier: License :: OSI Approved :: MIT License\n"
                "Classifier: License :: OSI Approved :: BSD License\n"
            ),
            ("BSD License", "MIT License"),
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


def test_each_identifier_is_one_of_spdx_and_each_name_a_classifier_that_is_not_ambiguous() -> None:
    known = {one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")}
    for name, identifier in licences._IDENTIFIERS.items():
        assert name in known
        assert canonicalize_license_expression(identifier) == identifier
    # PEP 639, appendix: "Tools MUST NOT attempt to automatically infer" these.
    ambiguous = (
        "BSD License",
        "Apache Software License",
        "Artistic License",
        "(GPL)",
        "(GPLv2)",
        "(LGPLv2+)",
    )
    assert not [one for one in licences._IDENTIFIERS if one.endswith((*ambiguous, "(GPLv3)", "License v3"))]
