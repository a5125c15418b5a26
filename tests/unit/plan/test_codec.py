"""Plans as bytes: what goes in comes out, and the hash is that of the content alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wvflow.lang.catalog import Catalog
from wvflow.plan.codec import decode, digest, encode
from wvflow.plan.nodes import Bundle
from wvflow.planner import build
from wvflow.semantics import check
from wvflow.source import Source
from wvflow.syntax import parse

PROGRAM = """
val cities(id: int, name) = [[1, 'Oslo'], [2, null]]
flow F(n: int = 3, at: timestamp) with { description: 'x', timeout: 1h } = {
  stage a [retries: 2, jitter: 0.1] = from 'x.csv' as x where x.a > n and x.b in (1, 2.50) or x.c like 'z%'
  stage b = from a join cities on a.id = cities.id select s = s"${a.id}-${name}", st = {k: [1]},
    m = map {'a': null}, q = 1
  stage c = from a group by k = (if z then 1 else 2) agg _.count, w = v.sum, e = d.extract('year') order by k desc
  stage d = from b, c | save to 'out.parquet' with compression: zstd
  stage e depends on d = from [[1]] as t(i) where exists { from a } and i between 1 and { from b count } dedup
}
flow G = { stage a = from t exclude x concat { from u } limit 3 }
"""


def compiled(text: str, name: str = "p.wv") -> Bundle:
    module, unread = parse(Source(name, text))
    checked, found = check([module], Catalog())
    assert not [*unread, *[one for one in found if one.is_error]]
    return build(checked, Catalog())


def test_a_bundle_survives_its_encoding() -> None:
    bundle = compiled(PROGRAM)
    assert decode(encode(bundle)) == bundle
    assert encode(decode(encode(bundle))) == encode(bundle)


@pytest.mark.parametrize(
    "text", ["\n\n-- a remark\n" + PROGRAM, PROGRAM.replace("  ", " \n  "), PROGRAM.replace("desc", "  desc")]
)
def test_moving_a_line_changes_places_and_no_hash(text: str) -> None:
    before, after = compiled(PROGRAM), compiled(text)
    assert digest(before) == digest(after)
    assert before.places != after.places


def test_the_order_of_flows_is_no_part_of_the_hash() -> None:
    first, second = "flow A = { stage s = from t }", "flow B = { stage s = from u }"
    assert digest(compiled(first + second)) == digest(compiled(second + first))


def test_the_files_name_is_no_part_of_the_hash() -> None:
    assert digest(compiled(PROGRAM)) == digest(compiled(PROGRAM, "other.wv"))


@pytest.mark.parametrize(
    ("old", "new"), [("retries: 2", "retries: 3"), ("2.50", "2.5"), ("'x.csv'", "'y.csv'"), ("stage e", "stage f")]
)
def test_another_content_has_another_hash(old: str, new: str) -> None:
    assert digest(compiled(PROGRAM)) != digest(compiled(PROGRAM.replace(old, new)))


def test_bytes_and_hash_are_the_same_under_every_hash_seed() -> None:
    script = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("codec_case", {__file__!r})
case = importlib.util.module_from_spec(spec)
spec.loader.exec_module(case)
bundle = case.compiled(case.PROGRAM)
print(case.digest(bundle), case.sha256(case.encode(bundle)).hexdigest())
""".replace("case.sha256", "__import__('hashlib').sha256")
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1
    assert outputs.pop().split()[0] == digest(compiled(PROGRAM))
