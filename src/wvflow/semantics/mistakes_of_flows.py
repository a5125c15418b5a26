"""What can be wrong with flows, their properties, activities and graph: one constructor per diagnostic."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from wvflow.diagnostics import Code, Diagnostic, Note
from wvflow.lang.types import Type
from wvflow.semantics.mistakes import did_you_mean, listed
from wvflow.source import Span

# --- properties -----------------------------------------------------------------------------------------------------


def unknown_property(name: str, what: str, use: Span, near: str | None, elsewhere: str) -> Diagnostic:
    """``elsewhere``: how to set ``near``, where it can't stand here either."""
    meant = f"did you mean `{near}`?{f' {elsewhere}' if elsewhere else ''}" if near else None
    own = f"a property of your own begins with `x_`: `x_{name}`"
    return Diagnostic(Code.UNKNOWN_PROPERTY, f"{what} has no property `{name}`", use, meant or own)


def mistyped_property(name: str, wanted: str, use: Span, given: object, words: Iterable[str]) -> Diagnostic:
    help_ = did_you_mean(given, words) if isinstance(given, str) else None
    return Diagnostic(Code.MISTYPED_PROPERTY, f"`{name}` wants {wanted}", use, help_)


def misplaced_property(name: str, what: str, owner: str, use: Span, help: str) -> Diagnostic:
    message = f"`{name}` is no property of {what}, but of {owner}"
    return Diagnostic(Code.MISPLACED_PROPERTY, message, use, help)


def duplicate_property(name: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_PROPERTY,
        f"`{name}` is set twice",
        second,
        "leave one out",
        (Note("first set here", first),),
    )


def property_not_available(shown: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.NOT_AVAILABLE, f"the property `{shown}` is not available yet", use)


def unknown_pool(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    add = f"add it to the project file: [pools], `{name} = 4`"
    return Diagnostic(Code.UNKNOWN_POOL, f"the project has no pool `{name}`", use, did_you_mean(name, known) or add)


def unknown_row_type(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    help_ = did_you_mean(name, known) or f"define it: `type {name} = {{ id: long }}`"
    return Diagnostic(Code.UNKNOWN_TYPE, f"no row type named `{name}`", use, help_)


def other_columns(name: str, wrong: Sequence[str], use: Span, definition: Span) -> Diagnostic:
    notes = (*[Note(one) for one in wrong], Note(f"`{name}` is defined here", definition))
    return Diagnostic(
        Code.OTHER_COLUMNS,
        f"the stage's columns are not those of its type `{name}`",
        use,
        "change the body, or the type",
        notes,
    )


def condition_over_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        "`when` is decided before the stage reads a row, from values of the run and `s.col` of other stages",
        use,
        "test rows in the body, with `where`, or skip a stage without input by `skip_empty: true`",
    )


def condition_needs_engine(use: Span) -> Diagnostic:
    help_ = "use comparisons, arithmetic, `in`, `like`, `case` and simple functions of text and dates"
    return Diagnostic(Code.MISTYPED_PROPERTY, "`when` can't be decided without an engine", use, help_)


def condition_wanted(type: object, use: Span) -> Diagnostic:
    return Diagnostic(Code.MISTYPED_PROPERTY, f"`when` wants true or false, this is {type}", use)


def nothing_to_be_empty(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        "`skip_empty` is for a stage with input rows, this one reads none",
        use,
        "let the stage begin with `from`, or leave it out",
    )


def bad_default(origin: str, name: str, wanted: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.MISTYPED_PROPERTY, f"`{name}` in {origin} wants {wanted}", use)


def bad_default_name(origin: str, name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    message = f"`{name}` in {origin} is no property"
    return Diagnostic(Code.UNKNOWN_PROPERTY, message, use, did_you_mean(name, known))


def doubled_default(origin: str, name: str, first: str, use: Span) -> Diagnostic:
    message = f"`{name}` in {origin} is the same property as `{first}`"
    return Diagnostic(Code.DUPLICATE_PROPERTY, message, use, "leave one out")


def cache_without_effect(stage: str, reason: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.CACHE_WITHOUT_EFFECT,
        f"`{stage}` is computed in every run in spite of `cache: inputs`: {reason}",
        use,
        "take it in as a parameter or a stage of its own, or set `cache: none`",
    )


def timeout_never_reached(name: str, attempt: str, whole: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.TIMEOUT_NEVER_REACHED,
        f"no attempt of `{name}` comes to its `timeout` of {attempt}: its `schedule_timeout` of {whole} is over before",
        use,
        "`schedule_timeout` bounds all attempts and delays together: make it longer, or `timeout` shorter",
    )


def heartbeat_never_sent(what: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.HEARTBEAT_NEVER_SENT,
        f"nothing in {what} sends a heartbeat, so an attempt that takes longer than this fails",
        use,
        "bound the attempt with `timeout`; heartbeats are sent by Python (`ctx.heartbeat()`), `shell` and webhooks",
    )


def wall_clock(name: str, instead: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.WALL_CLOCK,
        f"`{name}` tells another time in each attempt, and today's in a run for an earlier one",
        use,
        f"write `{instead}`: it is the run's own, and stays",
    )


def without_map(name: str, use: Span) -> Diagnostic:
    flows = "; for all stages of a flow, set it on the flow" if name == "max_parallel" else ""
    return Diagnostic(
        Code.WITHOUT_MAP,
        f"`{name}` is about the instances of a mapped stage, and the stage is not mapped",
        use,
        f"set `map: each`, or leave it out{flows}",
    )


def bad_map(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        "`map` wants each, or a column of a stage as in `s.col`",
        use,
        "`map: each` makes an instance of each row that the stage begins with, `map: s.col` of each value in a column",
    )


def nothing_to_split(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_MAP,
        "`map: each` splits the rows that a stage begins with, and this one begins with none",
        use,
        "begin it with `from`; or take the values of a column of another stage: `map: s.col`",
    )


def several_to_split(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_MAP,
        "`map: each` splits one source, and the stage begins with several",
        use,
        "begin with the one to be split and join the others behind it: `from a | cross join b`",
    )


# --- activities -----------------------------------------------------------------------------------------------------


def unknown_flow(name: str, use: Span, known: Iterable[str], is_activity: bool) -> Diagnostic:
    if is_activity:
        message = f"`{name}` is an activity, and `->` starts a flow"
        return Diagnostic(Code.UNKNOWN_FLOW, message, use, f"write `| {name}(…)`")
    return Diagnostic(Code.UNKNOWN_FLOW, f"no flow named `{name}`", use, did_you_mean(name, known))


def unknown_version(name: str, version: int, use: Span, known: Sequence[int]) -> Diagnostic:
    message = f"the flow `{name}` has no version {version}"
    return Diagnostic(Code.UNKNOWN_FLOW, message, use, f"there is {', '.join(f'@version({one})' for one in known)}")


def duplicate_flow(name: str, version: int, second: Span, first: Span) -> Diagnostic:
    which = f"{name} @version({version})" if version != 1 else name
    way_out = f"rename one of them, or give it a version of its own: `flow {name} @version({version + 1})`"
    message = f"`{which}` is defined twice in this program"
    return Diagnostic(Code.DUPLICATE_NAME, message, second, way_out, (Note("first defined here", first),))


def two_versions(name: str, header: int, use: Span, listed: Span) -> Diagnostic:
    message = f"the flow `{name}` has two versions: `@version({header})` and another among its properties"
    return Diagnostic(Code.BAD_VERSION, message, use, "leave one of them out", (Note("the other one", listed),))


def no_version(name: str, version: int, use: Span, highest: int) -> Diagnostic:
    message = f"`{version}` is no version of the flow `{name}`"
    return Diagnostic(Code.BAD_VERSION, message, use, f"a version is a whole number from 1 to {highest:,}")


def recorded_version(name: str, version: int, use: Span) -> Diagnostic:
    message = f"the program has no version {version} of `{name}` any more; the plan that runs have recorded is used"
    way_out = "define it again, or use one that the program has: a recorded plan goes with its last run"
    return Diagnostic(Code.RECORDED_VERSION, message, use, way_out)


def changed_version(name: str, version: int, use: Span, runs: str) -> Diagnostic:
    message = f"version {version} of `{name}` does something else than {runs}"
    way_out = (
        "a correction needs nothing: runs keep the plan that they began with; "
        f"to have both, name this one `flow {name} @version({version + 1})`"
    )
    return Diagnostic(Code.CHANGED_VERSION, message, use, way_out)


def version_of_activity(name: str, use: Span) -> Diagnostic:
    message = f"`@version` is of flows, and `{name}` is an activity"
    return Diagnostic(Code.UNKNOWN_ARGUMENT, message, use, "leave it out")


def flow_as_activity(name: str, use: Span) -> Diagnostic:
    message = f"`{name}` is a flow, and what is called so is an activity"
    return Diagnostic(Code.UNKNOWN_ACTIVITY, message, use, f"write `| -> {name}(…)`")


def no_hook(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISTYPED_PROPERTY,
        f"`{name}` of a flow is a call",
        use,
        "write `activate('log')`, or call an activity or a flow",
    )


def without_child(name: str, stage: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_PROPERTY,
        f"`{name}` is about the run of a flow, and the stage `{stage}` starts none",
        use,
        "start one with `| -> F(…)` or `call F(…)`, or leave it out",
    )


def unknown_activity(name: str, use: Span, known: Iterable[str], modules: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ACTIVITY,
        f"no activity named `{name}`",
        use,
        did_you_mean(name, known),
        (_searched(modules),),
    )


def activity_undefined(name: str, declared: Span, modules: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.ACTIVITY_UNDEFINED,
        f"the activity `{name}` is declared and has no implementation",
        declared,
        f"write `@activity` above `def {name}(…)` in a module of activities",
        (_searched(modules),),
    )


def no_such_implementation(name: str, use: Span, known: Collection[str]) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ACTIVITY,
        f"an activity can't be implemented by `{name}(…)`",
        use,
        did_you_mean(name, known) or f"write {listed(list(known))}; or leave it out, and write a Python function",
    )


def no_target(use: Span, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        "`activate` needs the name of a target before all other arguments",
        use,
        f"write `activate('{known[0]}', …)`; there are {listed(known)}",
    )


def unknown_sink(name: str, use: Span, known: Sequence[str], *, strict: bool) -> Diagnostic:
    outcome = "the attempt will fail" if strict else "the delivery will only be logged"
    return Diagnostic(
        Code.UNKNOWN_SINK,
        f"no sink named `{name}`: {outcome}",
        use,
        did_you_mean(name, known) or f"write a function with `@sink('{name}')` in a module of activities",
    )


def _searched(modules: Sequence[str]) -> Note:
    return Note(f"searched: {listed(modules)}" if modules else "there are no modules of activities")


def needs_rows(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NEEDS_ROWS,
        f"the activity `{name}` takes rows, and `call` gives it none",
        use,
        f"write `from … | {name}(…)`",
    )


def argument_over_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        "an argument of an activity is a value without rows",
        use,
        "compute it as a column before the activity and write `_.column`",
    )


def argument_needs_engine(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT,
        "this can't be computed without an engine",
        use,
        "compute it as a column before the activity and write `_.column`",
    )


def no_input_row(use: Span) -> Diagnostic:
    return Diagnostic(Code.NEEDS_ROWS, "`call` has no input row to take a value from", use)


def parameter_left_out(activity: str, parameter: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"the function `{activity}` needs `{parameter}`, which is not declared here",
        use,
        "declare it, or give it a default in Python",
    )


def other_result(activity: str, declared: object, found: object, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT, f"`{activity}` is declared to give {declared}, and the function gives {found}", use
    )


def unused_parameter(activity: str, parameter: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"the function `{activity}` has no parameter `{parameter}`",
        use,
        "declare the parameters that the function has",
    )


# --- the graph ------------------------------------------------------------------------------------------------------


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


# --- idempotency keys -----------------------------------------------------------------------------------------------


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


# --- conversations --------------------------------------------------------------------------------------------------


def unknown_signal(name: str, use: Span, known: Sequence[str]) -> Diagnostic:
    declare = f"declare it in the flow: `signal {name}`"
    return Diagnostic(
        Code.UNKNOWN_SIGNAL, f"no signal named `{name}` in this flow", use, did_you_mean(name, known) or declare
    )


def unknown_variable(action: str, use: Span, known: Sequence[str]) -> Diagnostic:
    variable = action.removeprefix("set_")
    declare = f"declare it in the flow: `state {variable} = …`"
    return Diagnostic(
        Code.UNKNOWN_VARIABLE,
        f"`{action}` sets no state variable of this flow",
        use,
        did_you_mean(action, known) or declare,
    )


def no_action(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NO_ACTION,
        f"`{name}` is no action of a message",
        use,
        "a signal or update sets variables, as in `set_approved(true)`; what is to be done then is a stage, behind "
        "`wait for` or `wait until`",
    )


def set_twice(variable: str, second: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        Code.NO_ACTION,
        f"`{variable}` is set twice, and all actions of a message apply together",
        second,
        "leave one out",
        (Note("first set here", first),),
    )


def one_value_wanted(action: str, given: int, use: Span) -> Diagnostic:
    variable = action.removeprefix("set_")
    return Diagnostic(
        Code.BAD_ARGUMENT, f"`{action}` takes one value, this has {given}", use, f"`{action}({variable})`"
    )


def mistyped_state(variable: str, wanted: object, found: object, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_ARGUMENT, f"the state variable `{variable}` is of type {wanted}, and this is {found}", use
    )


def paused_is_there(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.DUPLICATE_NAME,
        "every flow has the state variable `paused`",
        use,
        "leave it out; it is false until something sets it",
    )


def state_misplaced(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.STATE_MISPLACED,
        f"the state variable `{name}` has no value here",
        use,
        "it is known in `while`, `wait until`, `when`, signals and updates, in arguments of activities and flows, "
        "and in values that a run is asked for; rows that it is asked for read it `from state`, those of a stage what "
        "an activity made of it",
    )


def handler_needs_rows(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.HANDLER_NEEDS_ROWS,
        "state is made of values alone: this needs rows or an engine",
        use,
        "use comparisons, arithmetic, `in`, `like`, `case` and simple functions of text and dates",
    )


def update_condition_wanted(type: object, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_ARGUMENT, f"`where` of an update wants true or false, this is {type}", use)


def mixed_wait(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.MIXED_WAIT,
        f"`wait until` is about state or about rows: this names the state variable `{name}` and needs rows",
        use,
        "write two waits, one behind the other",
    )


def unheard_signal(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNHEARD_SIGNAL,
        f"nothing waits for the signal `{name}`, and it sets nothing",
        use,
        f"wait for it in a stage, as in `wait for {name}`, or give it actions",
    )


def never_set(variables: Sequence[str], use: Span) -> Diagnostic:
    names, verb = listed(variables), "is" if len(variables) == 1 else "are"
    return Diagnostic(
        Code.NEVER_SET,
        f"this waits for {names}, which {verb} never set",
        use,
        f"let a signal set it: `signal … = set_{variables[0]}(…)`",
    )


# --- sagas ----------------------------------------------------------------------------------------------------------


def lonely_compensate_on(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.LONELY_COMPENSATE_ON,
        "`compensate_on` says when a stage is undone, and nothing undoes this one",
        use,
        "set `compensate: NAME`, or leave it out",
    )


def bad_compensation(use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        "what undoes a stage is a stage, a flow, an activity or a table function",
        use,
        "write its name, or a call: `compensate: cancel(reason: 'late')`",
    )


def unknown_compensation(name: str, use: Span, known: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        f"no stage, flow, activity or table function is named `{name}`",
        use,
        did_you_mean(name, known) or f"define it: `activity {name} = …`, or a Python function with `@activity`",
    )


def undoes_itself(name: str, use: Span) -> Diagnostic:
    return Diagnostic(Code.BAD_COMPENSATION, f"`{name}` can't undo itself", use, "name another stage, or an activity")


def arguments_of_stage(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.BAD_COMPENSATION,
        f"`{name}` is a stage, and has no arguments",
        use,
        f"write `compensate: {name}`; it reads the rows to undo with `from _`",
    )


def misplaced_in_compensation(what: str, name: str, use: Span, owner: str, named: Span) -> Diagnostic:
    return Diagnostic(
        Code.MISPLACED_IN_COMPENSATION,
        f"`{name}` runs only to undo `{owner}`, so it can't have {what}",
        use,
        "leave it out",
        (Note(f"`{owner}` names it here", named),),
    )


def reads_compensation(name: str, reader: str, use: Span, owner: str, named: Span) -> Diagnostic:
    return Diagnostic(
        Code.READS_COMPENSATION,
        f"`{name}` runs only to undo `{owner}`, so `{reader}` can't depend on it",
        use,
        None,
        (Note(f"`{owner}` names it here", named),),
    )


def no_undo(name: str, use: Span, earlier: str, place: Span) -> Diagnostic:
    return Diagnostic(
        Code.NO_UNDO,
        f"`{name}` has no `compensate`: where the run fails, `{earlier}` before it is undone, and it is not",
        use,
        f"set `compensate: NAME` on `{name}`",
        (Note(f"`{earlier}` has one", place),),
    )


def nothing_to_undo(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.NOTHING_TO_UNDO,
        f"`{name}` changes nothing, so there is never anything to undo",
        use,
        "leave `compensate` out",
    )


def undoes_nothing(name: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.UNDOES_NOTHING,
        f"`{name}` only computes rows, so it undoes nothing",
        use,
        "let it end in an activity, or in `save to`, `append to` or `delete`",
    )


def child_undoes_itself(flow: str, use: Span) -> Diagnostic:
    return Diagnostic(
        Code.CHILD_UNDOES_ITSELF,
        f"a child that is terminated runs none of the compensations that `{flow}` has itself",
        use,
        "set `parent_close: request_cancel`: then it undoes what it did before this stage is undone",
    )
