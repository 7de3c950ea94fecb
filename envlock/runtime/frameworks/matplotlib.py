"""matplotlib: figures as SVG, PDF and PostScript hold no time and no random names.

Both means are matplotlib's own, and its tests of reproducible figures use them: ``svg.hashsalt``, without
which the names inside an SVG come from ``uuid4``, and ``SOURCE_DATE_EPOCH`` (reproducible-builds.org),
which its writers put where the time would stand. What the job or the manifest sets itself is kept.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SALT = "svg.hashsalt"
# 1980-01-01: the first day that a zip file can hold, for whatever else in this job goes by the variable.
_DATE = "315532800"


def after_import(module: Any) -> None:
    """Settle names and time, unless the level is ``none``."""
    from envlock.runtime import frameworks

    if frameworks.level() == "none":
        return
    os.environ.setdefault("SOURCE_DATE_EPOCH", _DATE)
    # The other two are what `rcdefaults`, styles and `rc_file_defaults` go back to.
    for settings in (module.rcParams, module.rcParamsDefault, module.rcParamsOrig):
        if settings[_SALT] is None:
            settings[_SALT] = "envlock"
