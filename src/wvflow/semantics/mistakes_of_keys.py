"""What can be wrong with idempotency keys: one constructor per diagnostic."""

from __future__ import annotations

from wvflow.diagnostics import Code, Diagnostic
from wvflow.lang.types import Type
from wvflow.source import Span


def without_key(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        f"`{name}` is for a stage with `idempotency_key`, this one has none",
        use,
        "name what the stage is done once for: `idempotency_key: _.id`",
    )


def key_without_effect(stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        f"`{stage}` only computes rows, and has nothing that a key would keep from being done twice",
        use,
        "set the key on the stage that calls, delivers or saves; to reuse computed rows: `cache: inputs`",
    )


def key_without_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        "no rows reach the first effect of this stage, so that `_` is none",
        use,
        "begin with `from …`, or use a key without `_`, over parameters and values of other stages",
    )


def key_over_several(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        "a key is made of the values of one row, or of none",
        use,
        "compute the value in front of the effect: `| add … as key`, and use `_.key`",
    )


def key_needs_engine(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        "a key without `_` is made of parameters and of values of other stages, by simple operators",
        use,
        "for a column of the rows write `_.column`",
    )


def wait_behind_effect(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        "a wait can't stand behind what is done once for a key: others would wait for the key as long",
        use,
        "put what stands from the wait on in a stage of its own",
    )


def flow_under_key(flow: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        f"`{flow}` is a flow: what its runs are once for is said by a key of its own",
        use,
        f"set it there, over its parameters: `flow {flow}(…) with {{ idempotency_key: … }}`; and start it by a stage"
        " of its own, without a key",
    )


def loop_behind_effect(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        "the loop goes round for all rows together, and what stands before it is done once for each key of them",
        use,
        "put what stands in front of `while` in a stage of its own, or use a key without `_`",
    )


def key_beyond_parameters(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        "the key of a flow is made of its parameters, by simple operators",
        use,
        "take in as a parameter what makes the run one of its kind; for rows, set the key on a stage",
    )


def key_of_no_value(type_: Type, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_KEY,
        f"a key is a text, a number, a date or the like, and this is {type_}",
        use,
        'take one value out of it, or join several: `s"${_.a}/${_.b}"`',
    )


def replaced_by_each_key(target: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.KEY_OF_REPLACED,
        f"`save to {target}` replaces the whole of it for each key, so that only the rows of the last one stay",
        use,
        "use `append to`, `mode: 'merge'`, or a key without `_`",
    )


def replaced_under_one_key(target: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.KEY_WITHOUT_USE,
        f"a later run with the same key leaves `{target}` as it is, though `save to` may be repeated at will",
        use,
        "leave the key out, or set it on the stage that needs one",
    )


def retries_without_key(stage: str, called: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.RETRIES_WITHOUT_KEY,
        f"`{stage}` is retried and has no `idempotency_key`: where the answer is lost, `{called}` is done twice",
        use,
        "name what it is to be done once for: `idempotency_key: _.id`",
    )
