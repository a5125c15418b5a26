"""``wvflow fmt`` of long programs: what a thousand lines cost, and whether that stays what it is when there are many.

    python benchmarks/format.py [--rounds N] [--json]

The floor is the parser: a program has to be read before it can be written. 100,000 lines a minute are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator

import kit
from check import program

from wvflow.source import Source
from wvflow.syntax import parse
from wvflow.syntax.formatter import format_text

WANTED = 60_000 / 100
"""Milliseconds for a thousand lines, at 100,000 a minute."""


def formatted(text: str) -> None:
    _, found = format_text(Source("program.wv", text))
    assert found == ()


def figures(bench: kit.Bench) -> Iterator[kit.Figure]:
    for lines in (2_000, 20_000):
        text = program(lines)
        yield bench.figure(
            f"format {lines:,} lines, a thousand",
            ours=lambda text=text: formatted(text),
            floor=lambda text=text: parse(Source("program.wv", text)),
            target=kit.ms(WANTED),
            share=lines // 1_000,
        )


if __name__ == "__main__":
    kit.main(__doc__, figures)
