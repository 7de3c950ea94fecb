"""What a distribution's metadata says of its licence. Pure.

In the order of the core metadata specification: ``License-Expression`` (PEP 639); of older metadata a
``License`` that is an SPDX expression, which says more than a classifier can; the ``License ::``
classifiers; else a ``License`` of one line. Some projects put the whole text there, which is no name.
"""

from email.message import Message

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_CLASSIFIER = "License ::"
# The two that only say that a licence follows.
_GENERAL = frozenset({"OSI Approved", "DFSG approved"})
_LONGEST = 100


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
    return tuple(sorted(filter(None, classified))) or ((named,) if named is not None else ())


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
