"""Versions of flows: that a definition has one, and which flow a name means (flow language, section 9)."""

from __future__ import annotations

from wvflow.plan.refs import FlowRef
from wvflow.semantics import mistakes_of_calls as mistakes
from wvflow.semantics.properties import Read
from wvflow.semantics.session import Session
from wvflow.syntax.nodes import FlowDef, Name

HIGHEST = 2**31 - 1


def check_version(flow: FlowDef, read: Read, session: Session) -> None:
    """A flow has one number, from 1 on, in whichever form."""
    listed, header = read.values.get("version"), flow.version
    if header is not None and listed not in (None, header):
        session.report(mistakes.two_versions(flow.name.text, header, flow.name.span, read.spans["version"]))
    if not 1 <= flow.number <= HIGHEST and (header is not None or listed is not None):
        session.report(mistakes.no_version(flow.name.text, flow.number, flow.name.span, HIGHEST))


def find_flow(name: Name, version: int | None, session: Session) -> FlowRef | None:
    """The flow of that name and version, without one the highest of the program. A version that the program has no
    more is looked up among the plans that runs have recorded. One that isn't there is reported."""
    defined = [number for flow, number in session.definitions.flows if flow == name.text]
    recorded = [number for flow, number in session.catalog.recorded if flow == name.text]
    if version is None and defined:
        return FlowRef(name.text, max(defined))
    if version is not None and version in (*defined, *recorded):
        if version not in defined:
            session.report(mistakes.recorded_version(name.text, version, name.span))
        return FlowRef(name.text, version)
    if defined or recorded:
        session.report(mistakes.unknown_version(name.text, version, name.span, sorted({*defined, *recorded})))
    else:
        is_activity = session.is_activity(name.text)
        session.report(mistakes.unknown_flow(name.text, name.span, flow_names(session), is_activity))
    return None


def highest(name: str, session: Session) -> FlowRef:
    """The highest version that the program has of a flow; 1 where it has none."""
    return FlowRef(name, max((number for flow, number in session.definitions.flows if flow == name), default=1))


def flow_names(session: Session) -> list[str]:
    """The flows of the program, and those that it names by a recorded version."""
    named = (name for name, _ in (*session.definitions.flows, *session.catalog.recorded))
    return list(dict.fromkeys(named))
