"""``--verbose``: what envlock asks of the network and of other programs, line by line on standard error.

The lines are those of the loggers of :mod:`envlock.host` and of urllib3, under requests and Docker's SDK.
No credentials, tokens, query strings or home directory stand in them.
"""

import logging
import os
import re

from envlock.core.redaction import redacted, without_tokens
from envlock.host.home import home_directory

_LOGGERS = ("envlock", "urllib3.connectionpool")
# The request line as urllib3 tells it: a signed URL's signature is in its query.
_QUERY = re.compile(r'(?<=/)([^\s?"]*)\?[^\s"]*')


def begin() -> None:
    """Print everything that is logged from now on."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(_Lines())


class _Lines(logging.Handler):
    """Prints a line for each record, with the seconds since the start."""

    def emit(self, record: logging.LogRecord) -> None:
        # By rich, which prints above its bars, where any other line would go into them; and only here, since
        # it costs 20 ms and most runs are not verbose.
        from envlock.cli import terminal  # noqa: PLC0415

        text = f"{record.relativeCreated / 1000:8.3f} s  {public(record.getMessage())}"
        terminal.err.print(text, style="dim", markup=False)


def public(text: str) -> str:
    """Return a line as others may read it."""
    home = str(home_directory(os.environ))
    line = without_tokens(_QUERY.sub(r"\1", redacted(text)))
    return line if home == "/" else line.replace(home, "~")
