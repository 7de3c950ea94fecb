"""A fingerprint as JSON: a document of its own, and the ``fingerprint`` of a run record."""

from __future__ import annotations

from envlock.runtime import document
from envlock.runtime.errors import InputError
from envlock.runtime.fingerprint.values import Fingerprint, FrameworkPrint
from envlock.runtime.image import Cpu
from envlock.runtime.reader import Mapping

VERSION = 1
_KEY = "envlock-fingerprint"
_OF_RECORD = "fingerprint"


def to_document(found: Fingerprint) -> dict[str, object]:
    """Return the document of ``found``; parsing it gives the same value."""
    return {
        _KEY: VERSION,
        "digest": found.digest,
        "cpu": found.cpu.as_dict(),
        "settings": {"isa": found.isa, "threads": found.threads, "determinism": found.level},
        "frameworks": [
            {
                **one.as_dict(),
                "operations": dict(one.operations),
                "absent": dict(one.absent),
                "unstable": list(one.unstable),
            }
            for one in found.frameworks
        ],
    }


def to_json(found: Fingerprint) -> str:
    """Return the text of a document of its own, keys sorted, one newline at the end."""
    import json

    return json.dumps(to_document(found), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def parse(top: Mapping) -> Fingerprint:
    """Return the fingerprint that ``top`` says. Raises InputError; later envlocks' fields are ignored."""
    top.version(_KEY, VERSION)
    cpu = top.mapping("cpu")
    settings = top.mapping("settings")
    return Fingerprint(
        cpu=Cpu(cpu.text("model", ""), cpu.text("isa", ""), cpu.integer("cores", 1)),
        isa=settings.text("isa", ""),
        threads=settings.integer("threads", 0),
        level=settings.text("determinism", ""),
        frameworks=tuple(map(_framework, top.mappings("frameworks"))),
    )


def read(path: str) -> Fingerprint:
    """Return the fingerprint in the file ``path``: its own document, or a run record that holds one.

    Raises InputError.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError("cannot read a fingerprint", where=path, found=reason) from error
    top = Mapping.of(document.read_json(text, path), path)
    if top.get(_KEY) is not None:
        return parse(top)
    if top.get(_OF_RECORD) is None:
        raise InputError(
            "no fingerprint in this file",
            where=path,
            expected="a run record with one, or what `docker run IMAGE --fingerprint` prints",
            hint="take one on the first host: add --fingerprint to the run",
        )
    return parse(top.mapping(_OF_RECORD))


def _framework(section: Mapping) -> FrameworkPrint:
    return FrameworkPrint(
        name=section.text("name", None),
        version=section.text("version", ""),
        list=section.integer("list", 0),
        kernels=section.text("kernels", ""),
        milliseconds=section.integer("milliseconds", 0),
        failure=section.nullable_text("failure"),
        operations=section.text_items("operations"),
        absent=section.text_items("absent"),
        unstable=section.texts("unstable"),
    )
