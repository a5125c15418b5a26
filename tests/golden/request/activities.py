"""The activities that the request names, as small as they can be."""

from __future__ import annotations

from typing import Any

from wvflow import ActivityContext, NonRetryable, activity

Rows = list[dict[str, Any]]


@activity
def fetch_data(rows: Rows) -> Rows:
    return [{"id": row["id"], "name": f" Name {row['id']} "} for row in rows]


@activity
def normalize(rows: Rows) -> Rows:
    return [{**row, "name": row["name"].strip().lower()} for row in rows]


@activity
def fetch_api(rows: Rows, *, endpoint: str) -> Rows:
    return [{"id": row["id"], "address": f"{row['id']}@example.com", "endpoint": endpoint} for row in rows]


@activity
def send_email(rows: Rows, *, template: str, ctx: ActivityContext) -> None:
    ctx.logger.info("%s to %s", template, ", ".join(row["address"] for row in rows))


@activity
def process(rows: Rows) -> Rows:
    return [{**row, "processed": True} for row in rows]


@activity
def call_primary_api(rows: Rows) -> Rows:
    raise NonRetryable("the primary is down")


@activity
def call_backup_api(rows: Rows) -> Rows:
    return [{**row, "from": "backup"} for row in rows]


@activity
def initialize(rows: Rows) -> Rows:
    return [{"value": row["name"]} for row in rows]


@activity
def long_running_task(rows: Rows) -> Rows:
    return [{"worked_on": row["param"]} for row in rows]


@activity
def finalize(rows: Rows) -> Rows:
    return [{**row, "final": True} for row in rows]


@activity
def validate(rows: Rows) -> Rows:
    return [row for row in rows if row["id"] is not None]


@activity
def transform(rows: Rows) -> Rows:
    return [{**row, "transformed": True} for row in rows]


@activity
def fetch_daily_data(rows: Rows, *, ctx: ActivityContext) -> Rows:
    return [row | {"day": f"{ctx.run_time:%Y-%m-%d}"} for row in rows]


@activity
def clean_and_normalize(rows: Rows) -> Rows:
    return [row | {"name": row["name"].upper()} for row in rows]


@activity
def health_check(rows: Rows) -> Rows:
    return [row | {"status": "unhealthy" if row["name"] == "db" else "healthy"} for row in rows]


@activity
def send_alert(rows: Rows) -> None:
    assert [row["name"] for row in rows] == ["db"]


@activity
def process_payment(rows: Rows, ctx: ActivityContext) -> Rows:
    return [{**row, "charged_as": ctx.idempotency_key} for row in rows]


@activity
def validate_inventory(rows: Rows) -> Rows:
    return [{**row, "in_stock": True} for row in rows if row["count"] > 1]


@activity
def process_order(rows: Rows) -> Rows:
    return [{**row, "processed": True} for row in rows]


@activity
def reserve_flight(rows: Rows) -> Rows:
    return [{**row, "flight": "AB 12"} for row in rows]


@activity
def reserve_hotel(rows: Rows) -> Rows:
    return [{**row, "hotel": "Ritz"} for row in rows]


@activity
def reserve_car(rows: Rows) -> Rows:
    return [{**row, "car": "Mini"} for row in rows]


@activity
def cancel_flight(rows: Rows, *, ctx: ActivityContext) -> None:
    ctx.logger.info("%s", [row["flight"] for row in rows])


@activity
def cancel_hotel(rows: Rows, *, ctx: ActivityContext) -> None:
    ctx.logger.info("%s", [row["hotel"] for row in rows])


@activity
def cancel_car(rows: Rows, *, ctx: ActivityContext) -> None:
    ctx.logger.info("%s", [row.get("car") for row in rows])


@activity
def not_done(rows: Rows) -> bool:
    return any(row["id"] < 4 for row in rows)


@activity
def process_batch(rows: Rows) -> Rows:
    return [{**row, "id": row["id"] + 1} for row in rows]
