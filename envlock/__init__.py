"""envlock: capture an environment, rebuild it bit for bit, replay its runs.

Data flows one way: capture → lock → wheels → image → engine → runtime → record → compare.
"""

__version__ = "0.1.0"
