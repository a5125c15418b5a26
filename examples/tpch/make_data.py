"""Make the tables of TPC-H in ``data/``: ``make_data.py [SCALE]``, default 0.1 (30 MB); needs ``tpchgen-cli``."""

import subprocess
import sys
from pathlib import Path


def main(scale: str = "0.1") -> None:
    tool = Path(sys.executable).with_name("tpchgen-cli")
    if not tool.exists():
        raise SystemExit("tpchgen-cli is not installed: pip install tpchgen-cli")
    target = Path(__file__).parent / "data"
    subprocess.run([tool, "parquet", "-s", scale, "--output-dir", target], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:2])
