"""What can be wrong with the graph of a flow and what stages do in it: one constructor per diagnostic."""

from __future__ import annotations

from collections.abc import Sequence

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.semantics.mistakes import listed
from wvflow.source import Span


def cycle(path: Sequence[str], use: Span, references: Sequence[tuple[str, str, Span]]) -> Diagnostic:
    notes = tuple(Note(f"`{reader}` depends on `{read}`", span) for reader, read, span in references)
    return Diagnostic(Code.CYCLE, f"stages depend on each other: {' → '.join(path)}", use, None, notes)


def depends_on_itself(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.CYCLE, f"stages depend on each other: {name} → {name}", use)


def too_many_stages(count: int, limit: int, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.TOO_MANY_STAGES,
        f"the flow has {count:,} stages, more than the limit of {limit:,}",
        use,
        "split it into several flows, or raise `limits.stages` in wvflow.toml",
    )


def no_failure(stage: str, what: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_VALUE,
        f"`{stage}.{what}` is a value only where `{stage}` may have failed",
        use,
        f"write it in a stage that runs then: `stage … if {stage}.failed = …`, one that its `on_failure` names, or one "
        "with a `trigger` such as `one_failed`",
    )


def cell_misplaced(stage: str, column: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_VALUE,
        f"`{stage}.{column}` is a value in call arguments and `when` only",
        use,
        f"write `{{from {stage} select {column}}}` for the one value, or `join {stage}` for its rows",
    )


def observer_misplaced(word: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        f"`{word}` in a flow stands in the pipe of a stage, not inside of a query or a grouping",
        use,
        "put it behind the `agg` or `pivot`, or make the query a stage of its own",
    )


def unclear_test(reason: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNCLEAR_TEST,
        f"this test can't be judged: {reason}",
        use,
        "write a condition over columns, or compare `_.size`, `_.columns`, `_.rows` and the like with a constant",
    )


def update_in_debug(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED,
        "`debug` in a stage changes nothing, and this one has an update",
        use,
        "put the update into the stage's pipe",
    )


def unknown_save_mode(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_UPDATE,
        "the `mode` of a save is 'merge' or 'replace'",
        use,
        "write `append to` to add the rows to those that are there",
    )


def merge_without_key(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_UPDATE,
        "`mode: 'merge'` and `key` stand together",
        use,
        "write `with mode: 'merge', key: 'id'`, or a list of columns for the key",
    )


def merge_or_partition(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_UPDATE,
        "a save merges rows by a key, or replaces partitions, not both",
        use,
        "leave `partition`, or `mode` and `key`, out",
    )


def folder_without_partition(path: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_UPDATE,
        f"`{path}` is a folder, and only partitions are saved to one",
        use,
        "name a file in it, or write `with partition: …`, with the columns or values that the rows are divided by",
    )


def names_needed(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_UPDATE,
        "rows are found again by the names of the file's columns, so it has a header",
        use,
        "leave `header` out",
    )


def column_names_wanted(option: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_UPDATE, f"`{option}` names columns", use, f"write `{option}: 'id'`, or a list of names")


def no_view(stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_VIEW,
        f"`materialize: view` is for a stage that is one query, and `{stage}` is more",
        use,
        "leave it out, or put what is no query into a stage that reads this one",
    )


def view_elsewhere(view: str, at: str, use: Span) -> Diagnostic:
    where = f"on `{at}`" if at else "in the warehouse"
    return Diagnostic(
        Code.BAD_VIEW,
        f"`{view}` is a view, computed by the stages that read it, and what it reads is {where}",
        use,
        f"have this stage run there, too, or leave `materialize: view` of `{view}` out",
    )


def asks_a_view_elsewhere(view: str, at: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_VIEW,
        f"`{view}` is a view, computed for who asks, and what it reads is on `{at}`",
        use,
        f"leave `materialize: view` of `{view}` out",
    )


def output_is_a_view(stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_VIEW,
        f"`{stage}` is the output of the flow, and a view keeps no rows",
        use,
        "leave `materialize: view` out, or name another stage: `flow F with { output: … }`",
    )


def two_triggers(stage: str, second: Span, first: Span) -> Diagnostic:
    message = f"`{stage}` has a `trigger` rule and an `if`"
    return Diagnostic(Code.TRIGGER_CONFLICT, message, second, "leave one out", (Note("its `if` is here", first),))


def trigger_of_fallback(stage: str, own: Span, owners: Sequence[tuple[str, Span]]) -> Diagnostic:
    return Diagnostic(
        Code.TRIGGER_CONFLICT,
        f"`{stage}` runs when another stage fails, so it can't have a trigger of its own",
        own,
        "leave it out; `on_failure` stands for `if x.failed`",
        tuple(Note(f"named by `{owner}` here", use) for owner, use in owners),
    )


def rule_without_upstreams(stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.TRIGGER_WITHOUT_EFFECT,
        f"`{stage}` reads no stage that its trigger could be about",
        use,
        "leave it out, or read a stage, or name one with `depends on`",
    )


def eager_without_rule(use: Span, rules: Sequence[str]) -> Diagnostic:
    message = f"`eager` is for the triggers {listed(rules)}"
    return Diagnostic(Code.TRIGGER_WITHOUT_EFFECT, message, use, "leave it out, or set one of these triggers")


def condition_never_holds(stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNREACHABLE_STAGE,
        f"`{stage}` never runs: its `if` can't hold, however the stages that it names end",
        use,
        "a stage ends in one state: join states of one stage by `or`",
    )


def rule_never_holds(stage: str, rule: str, never: Sequence[str], use: Span) -> Diagnostic:
    state = "skipped" if rule == "all_skipped" else "failed"
    return Diagnostic(
        Code.UNREACHABLE_STAGE,
        f"`{stage}` never runs: {listed(never)} can't end {state}",
        use,
        "a stage that has no upstreams, `when` or `skip_empty` is never skipped"
        if state == "skipped"
        else "a stage that has `on_failure: skip` ends skipped instead",
    )


def fallback_never_runs(stage: str, owner: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.FALLBACK_NEVER_RUNS,
        f"`{stage}` never runs: `{owner}` has `on_failure: skip`, so it ends skipped where it would have failed",
        use,
        f"write `if {owner}.skipped`, or set `on_failure: {stage}` on `{owner}` and leave this out",
    )


def target_reads_nothing(target: str, routing: str, use: Span, stage: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ROUTE,
        f"rows are routed to `{target}`, which doesn't read `{routing}`",
        use,
        f"let it begin with `from {routing}`",
        (Note(f"`{target}` is here", stage),),
    )


def too_large_shares(total: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ROUTE, f"the shares add up to {total} of 100", use, "make them smaller; what is left goes to `else`"
    )


def shadowed_case(use: Span, earlier: Span) -> Diagnostic:
    message = "no row reaches this case: an earlier one takes all that meet it"
    return Diagnostic(
        Code.SHADOWED_CASE, message, use, "put it first, or leave it out", (Note("the earlier case", earlier),)
    )


def reads_an_end(stage: str, use: Span, end: Span) -> Diagnostic:
    message = f"the branch of `{stage}` ends there, so nobody can read it"
    return Diagnostic(Code.READS_AN_END, message, use, "take `end()` out of it", (Note("it ends here", end),))


def no_duration(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        "`wait` wants a duration",
        use,
        "write `wait(5m)`, `wait('7 days')`, or a parameter that is one; for a condition, `wait until …`",
    )


def length_over_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        "how long to wait is decided without rows, from parameters and values of the run alone",
        use,
        "take it in as a parameter: `flow F (grace: duration = '7 days')`",
    )


def rows_of_a_wait(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NEEDS_ROWS,
        "a stage that begins with a wait has no rows",
        use,
        "begin with `from …`, and put the wait behind it",
    )


def reads_a_wait(stage: str, use: Span, wait: Span) -> Diagnostic:
    return Diagnostic(
        Code.NEEDS_ROWS,
        f"`{stage}` only waits, so it has no rows",
        use,
        f"write `depends on {stage}` in front of the `=`",
        (Note("it waits here", wait),),
    )


def asks_a_wait(stage: str, use: Span, wait: Span) -> Diagnostic:
    return Diagnostic(
        Code.NEEDS_ROWS,
        f"`{stage}` only waits, so it has no rows",
        use,
        f"ask for its state: `from stages where stage = '{stage}'`",
        (Note("it waits here", wait),),
    )


def nothing_to_poll(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        "`poll_interval` is for a stage with `wait until`, this one has none",
        use,
        "leave it out",
    )


def wait_without_timeout(use: Span, for_signal: bool = False) -> Diagnostic:
    what = "the signal never comes" if for_signal else "the condition is never met"
    return Diagnostic(
        Code.WAIT_WITHOUT_TIMEOUT,
        f"nothing bounds this wait: where {what}, the run never ends",
        use,
        "set `timeout: '1 day'` on the stage, or on the flow",
    )


def unchanging_wait(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNCHANGING_WAIT,
        "what this waits for can't change: all that it reads is computed before",
        use,
        "wait for a table or a file, or read them in the pipe before the wait",
    )


def unread_stage(name: str, output: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNREAD_STAGE,
        f"nobody reads the rows of `{name}`, and it has no effect",
        use,
        "read it, save it, name it in `output:`, or take it out",
        (Note(f"the output of the flow is `{output}`"),),
    )


def empty_flow(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.EMPTY_FLOW, f"the flow `{name}` has no stage", use, "write `stage a = from …`")


def not_said_there(operator: str, engine: str, use: Span, help: str | None) -> Diagnostic:
    return Diagnostic(
        Code.NOT_SAID_THERE,
        f"`{operator}` can't be said in the SQL of {engine}, where this stage runs",
        use,
        help or "do it in a stage of its own, without `on`",
    )
