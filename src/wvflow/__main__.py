"""``python -m wvflow`` and the ``wvflow`` script."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line. Ctrl-C while it is still being loaded finds nothing to be left tidy."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from wvflow.cli.main import main as command

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
