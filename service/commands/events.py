"""`errata events`: what happened in the log, and what happens."""

from typing import Annotated, Any

import typer

from service.commands.client import client
from service.commands.output import Exit, JsonOption, fail, json_text, moment, out, visible


def events(
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what happens from now on.")
    ] = False,
    after: Annotated[int, typer.Option(min=0, metavar="ID", help="Begin after this event.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print the log's events, oldest first: a line each, or with --json a JSON object each."""
    last = after
    with client() as server:
        for kind, event in server.events("/events", after=after, follow=follow):
            if kind == "failure":
                fail(f"the server failed after event {last}", Exit.UNREACHABLE)
            last = event["id"]
            if as_json:
                print(json_text(event), flush=True)
            else:
                out.print(visible(_line(event)), soft_wrap=True)
    if follow:
        fail(f"the server ended the feed; go on with --after {last}", Exit.UNREACHABLE)


def _line(event: dict[str, Any]) -> str:
    what = f"version {event['version']}"
    if event["kind"] == "edit":
        before = f"{event['from_status']} → " if event["from_status"] else ""
        what = f"edit {event['edit_id']} {before}{event['to_status']}"
    reason = f": {' '.join(event['reason'].split())}" if event["reason"] else ""
    return f"{event['id']}  {moment(event['created_at'])}  {what}  by {event['actor']}{reason}"
