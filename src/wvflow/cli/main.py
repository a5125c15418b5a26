"""``wvflow``: the list of its commands."""

from __future__ import annotations

import gc

import click

from wvflow import __version__
from wvflow.cli.root import LazyGroup, Root, survive_poor_streams

_COMMANDS = "wvflow.cli.commands"
THRESHOLDS = (10_000, 20, 20)
"""Of the garbage collector. A start, and a compilation, make many objects and drop few: looking through them again and
again takes a twentieth of the one and a fifth of the other."""


@click.group(
    cls=Root,
    lazy={
        "init": (f"{_COMMANDS}.init:init", "Make a small working project."),
        "check": (f"{_COMMANDS}.check:check", "Report mistakes in programs; run nothing."),
        "show": (f"{_COMMANDS}.show:show", "Show a flow's plan: stages, edges, policies."),
        "compile": (f"{_COMMANDS}.compile:compile_", "Show the SQL of stages and models."),
        "plan": (f"{_COMMANDS}.plan:plan", "Tell what a program would change against what runs have recorded."),
        "fmt": (f"{_COMMANDS}.fmt:fmt", "Put programs into their canonical form."),
        "run": (f"{_COMMANDS}.run:run", "Run a flow, or the statements of a file."),
        "test": (f"{_COMMANDS}.test:test", "Run files and judge their tests."),
        "repl": (f"{_COMMANDS}.repl:repl", "Type queries and see their rows."),
        "runs": ("wvflow.cli.main:runs", "List, read and steer recorded runs."),
        "backfill": (f"{_COMMANDS}.backfill:backfill", "Run a flow for each time of its schedule in some past."),
        "schedule": ("wvflow.cli.main:schedule", "When flows are due to run."),
        "serve": (f"{_COMMANDS}.serve:serve", "Begin and drive the runs of a project, by their schedules."),
        "doctor": (f"{_COMMANDS}.doctor:doctor", "Report versions, configuration and the state of this machine."),
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "--version", message="wvflow %(version)s")
def cli() -> None:
    """Data pipelines in a SQL-inspired flow language, checked before they run and executed durably.

    Exit status: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted (the run can be resumed).
    """


@click.group(
    cls=LazyGroup,
    lazy={
        "list": (f"{_COMMANDS}.runs_read:list_", "Recorded runs, newest first."),
        "show": (f"{_COMMANDS}.runs_read:show", "One run: its stages, attempts and errors."),
        "explain": (f"{_COMMANDS}.runs_explain:explain", "Why a run is as it is: what it waits for, what stopped it."),
        "events": (f"{_COMMANDS}.runs_read:events", "A run's journal."),
        "output": (f"{_COMMANDS}.runs_output:output", "The rows of a stage, or of the flow's output."),
        "query": (f"{_COMMANDS}.runs_query:query", "Ask a run what its flow answers."),
        "logs": (f"{_COMMANDS}.runs_read:logs", "What the run's activities logged."),
        "cancel": (f"{_COMMANDS}.runs_steer:cancel", "Ask a run to stop, and wait until it has."),
        "terminate": (f"{_COMMANDS}.runs_steer:terminate", "End a run at once; nothing more of it runs."),
        "pause": (f"{_COMMANDS}.runs_talk:pause", "Let nothing new of a run begin, until it is resumed."),
        "resume": (f"{_COMMANDS}.runs_steer:resume", "Carry on a run that is paused, or from what isn't done."),
        "retry": (f"{_COMMANDS}.runs_retry:retry", "A new run on today's plan that takes over what an ended one did."),
        "signal": (f"{_COMMANDS}.runs_talk:signal", "Send a signal to a run."),
        "update": (f"{_COMMANDS}.runs_talk:update", "Send an update to a run, and wait for its answer."),
        "clean": (f"{_COMMANDS}.runs_clean:clean", "Delete ended runs and their outputs."),
    },
)
def runs() -> None:
    """List, read and steer recorded runs.

    RUN is a run's id, the beginning of one, or `last`.
    """


@click.group(
    cls=LazyGroup,
    lazy={
        "list": (f"{_COMMANDS}.schedule_list:list_", "When flows are due next, and what became of their times."),
        "next": (f"{_COMMANDS}.schedule_next:next_", "The times at which the flows of a file are due."),
        "pause": (f"{_COMMANDS}.schedule_steer:pause", "Let a schedule start no runs, until it is resumed."),
        "resume": (f"{_COMMANDS}.schedule_steer:resume", "Let a paused schedule start runs again."),
        "trigger": (f"{_COMMANDS}.schedule_steer:trigger", "Have a run of a scheduled flow begin now."),
    },
)
def schedule() -> None:
    """When flows are due to run."""


def main() -> None:
    gc.set_threshold(*THRESHOLDS)
    survive_poor_streams()
    cli(prog_name="wvflow")
