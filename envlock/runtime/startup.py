"""What the image's ``envlock.pth`` imports in every Python process.

Outside a run (ENVLOCK_RUN unset) it does nothing. In one it learns who the process is and installs
the import hook; nothing else is loaded until the job imports something that must be seeded. It never
breaks a job: a failure is told on standard error, and ends the process (121) under ``strict`` only.
"""

from __future__ import annotations

import os

if os.environ.get("ENVLOCK_RUN"):
    from envlock.runtime import hook

    hook.install()
