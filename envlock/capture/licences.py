"""What a distribution's metadata says of its licence. Pure.

In the order of the core metadata specification: ``License-Expression`` (PEP 639); of older metadata a
``License`` that is an SPDX expression, which says more than a classifier can; the ``License ::``
classifiers; else a ``License`` of one line. Some projects put the whole text there, which is no name.

One classifier that stands for one licence is its SPDX identifier (PEP 639, "Mapping License Classifiers to
SPDX Identifiers"). The ambiguous ones that the appendix lists (BSD, Apache, GPLv3) stay names, and so do
several, of which nothing says whether all apply or one may be chosen.
"""

from email.message import Message

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_CLASSIFIER = "License ::"
# The two that only say that a licence follows.
_GENERAL = frozenset({"OSI Approved", "DFSG approved"})
_LONGEST = 100
# Only those whose name and version SPDX's list of licences has once.
_IDENTIFIERS = {
    "Aladdin Free Public License (AFPL)": "Aladdin",
    "Attribution Assurance License": "AAL",
    "Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
    "CeCILL-B Free Software License Agreement (CECILL-B)": "CECILL-B",
    "CeCILL-C Free Software License Agreement (CECILL-C)": "CECILL-C",
    "CMU License (MIT-CMU)": "MIT-CMU",
    "Common Development and Distribution License 1.0 (CDDL-1.0)": "CDDL-1.0",
    "Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "Educational Community License, Version 2.0 (ECL-2.0)": "ECL-2.0",
    "European Union Public Licence 1.0 (EUPL 1.0)": "EUPL-1.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MirOS License (MirOS)": "MirOS",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.0 (MPL)": "MPL-1.0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    "NASA Open Source Agreement v1.3 (NASA-1.3)": "NASA-1.3",
    "Open Software License 3.0 (OSL-3.0)": "OSL-3.0",
    "PostgreSQL License": "PostgreSQL",
    "SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
    "Sleepycat License": "Sleepycat",
    "The Unlicense (Unlicense)": "Unlicense",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "zlib/libpng License": "Zlib",
}


def read(metadata: Message) -> tuple[str, ...]:
    """Return one SPDX expression, or the names that the metadata gives, sorted; none where it is silent."""
    stated = _line(metadata.get("License-Expression"))
    if stated is not None:
        return (_expression(stated) or stated,)
    named = _line(metadata.get("License"))
    expression = _expression(named) if named is not None else None
    if expression is not None:
        return (expression,)
    classified = {_of_classifier(str(one)) for one in metadata.get_all("Classifier", [])} - {None}
    names = tuple(sorted(filter(None, classified)))
    if len(names) == 1:
        return (_IDENTIFIERS.get(names[0], names[0]),)
    return names or ((named,) if named is not None else ())


def _expression(text: str) -> str | None:
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return None


def _line(value: object) -> str | None:
    text = str(value).strip() if value is not None else ""
    usable = text and text != "UNKNOWN" and len(text) <= _LONGEST and text.isprintable()
    return text if usable else None


def _of_classifier(text: str) -> str | None:
    last = text.rpartition("::")[2].strip()
    return _line(last) if text.startswith(_CLASSIFIER) and last not in _GENERAL else None
