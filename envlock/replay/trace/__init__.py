"""Where two traced runs part first (docs/trace.md)."""
