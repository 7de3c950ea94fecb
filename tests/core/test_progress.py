from envlock.core.progress import Progress, Silent


def test_silent_accepts_every_call() -> None:
    listener: Progress = Silent()
    listener.note("a line")
    with listener.task("work", total=2, unit="B") as advance:
        advance(1)
