"""The fuzz target of the lock parser: any bytes give a lock, an InputError or an IntegrityError.

Run it for as long as you like; what it finds lands in the corpus, minimise it there by hand:

    pip install atheris
    python -m tests.fuzz.lock_parser tests/fuzz/corpus/lock -max_len=4096 -max_total_time=300

CI runs the same function over the corpus and mutations of it (tests/fuzz/test_lock_parser.py).
"""

import sys

from envlock.lock.codec import dumps, loads
from envlock.runtime.errors import InputError, IntegrityError

LONGEST_MESSAGE = 4_000


def one_input(data: bytes) -> bool:
    """Return whether ``data`` is a lock. Raises AssertionError, or what escaped, where a rule is broken.

    Rules: an error's text is printable, on few lines, not endless; a lock that was read is written as
    bytes that read back and write the same again.
    """
    try:
        lock = loads(data, "lock")
    except (InputError, IntegrityError) as error:
        text = error.render()
        assert all(line.isprintable() for line in text.splitlines()), repr(text)
        assert len(text.splitlines()) <= 2, repr(text)
        assert len(text) <= LONGEST_MESSAGE, len(text)
        return False
    written = dumps(lock)
    assert dumps(loads(written, "written")) == written
    return True


if __name__ == "__main__":
    import atheris  # has wheels for some Pythons only

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
