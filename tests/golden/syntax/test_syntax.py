"""Whole programs: the request that started the project parses; a broken pipeline is told of line by line."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from wvflow.source import Source
from wvflow.syntax import parse, tokenize

HERE = Path(__file__).parent
BLOCKS = re.findall(r"```wv\n(.*?)```", (HERE.parent / "request" / "task-oriented-syntax.md").read_text(), re.DOTALL)
EXPECTATION = re.compile(r'--! (\d+) (WV\d{4}) "(.*?)"')


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: re.search(r"\w+ \w+", text.replace("-- ", "")).group())
def test_an_example_of_the_request_parses(text: str) -> None:
    assert parse(Source("request.wv", text))[1] == ()


def test_the_comments_of_the_request_are_kept() -> None:
    for text in BLOCKS:
        comments = tokenize(Source("request.wv", text)).comments
        written = [line[line.index("--") :] for line in text.splitlines() if "--" in line]
        assert [text[comment.start : comment.end] for comment in comments] == written


def test_a_broken_pipeline_is_told_of_line_by_line() -> None:
    text = (HERE / "broken_pipeline.wv").read_text()
    expected: dict[int, list[tuple[int, str]]] = defaultdict(list)
    wordings: dict[tuple[int, int], str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        for column, code, wording in EXPECTATION.findall(line):
            expected[number].append((int(column), code))
            wordings[number, int(column)] = wording
    told: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for one in parse(Source("broken.wv", text))[1]:
        told[one.span.position.line].append((one.span.position.column, one.code.number))
    assert told == expected
    for one in parse(Source("broken.wv", text))[1]:
        assert wordings[one.span.position] in f"{one.message}: {one.help}"
