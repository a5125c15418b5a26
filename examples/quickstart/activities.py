"""The Python of the quickstart: two activities that make Arrow tables, one that takes and returns one."""

import zipfile
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from wvflow import ActivityContext, activity

HERE = Path(__file__).parent
BARS = "▁▂▃▄▅▆▇█"
FLIGHT_COLUMNS = ["month", "carrier", "origin", "dest", "dep_delay", "time_hour"]
WEATHER_COLUMNS = ["origin", "time_hour", "wind_speed"]


def read_csv(source, columns: list[str]) -> pa.Table:
    """These columns of a CSV file in which a missing value is written NA."""
    options = csv.ConvertOptions(include_columns=columns, null_values=["NA", ""])
    return csv.read_csv(source, convert_options=options)


@activity
def unzip_flights(*, archive: str, ctx: ActivityContext) -> pa.Table:
    """The flights, straight from the zip."""
    with zipfile.ZipFile(HERE / archive) as bundle, bundle.open("flights.csv") as member:
        flights = read_csv(member, FLIGHT_COLUMNS)
    ctx.logger.info("%s has %d flights", archive, flights.num_rows)
    return flights


@activity
def fetch_weather(*, path: str, ctx: ActivityContext) -> pa.Table:
    """The hourly weather, from a service that is busy when it is first asked."""
    if ctx.attempt == 1:
        raise ConnectionError("the weather service answers 503, try again (it always does so once)")
    return read_csv(HERE / path, WEATHER_COLUMNS)


@activity
def sparkline(rows: pa.Table, *, key: str, x: str, y: str) -> pa.Table:
    """One row per ``key`` with its ``y`` over ``x`` as a line of bars, all to one scale."""
    ordered = rows.sort_by([(key, "ascending"), (x, "ascending")])
    series: dict[object, list[float]] = {}
    for name, value in zip(ordered[key].to_pylist(), ordered[y].to_pylist(), strict=True):
        series.setdefault(name, []).append(value)
    values = [value for line in series.values() for value in line]
    low, high = min(values), max(values)
    step = (high - low) / (len(BARS) - 1) or 1
    lines = ["".join(BARS[round((value - low) / step)] for value in line) for line in series.values()]
    return pa.table({key: list(series), "line": lines})
