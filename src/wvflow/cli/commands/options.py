"""Options that several commands have."""

from __future__ import annotations

import click

instance_option = click.option(
    "--instance", type=click.IntRange(1), metavar="N", help="Only that instance of a mapped STAGE, counted from 1."
)
