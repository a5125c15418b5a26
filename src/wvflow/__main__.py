"""``python -m wvflow`` and the ``wvflow`` script."""

from wvflow.cli.main import main

if __name__ == "__main__":
    main()
