"""`errata serve`: the server itself."""

import contextlib
import signal
import socket
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from service.commands.local import opened, or_fail
from service.commands.output import out
from service.errors import StartupError
from service.settings import DATABASE, PREFIX, Role, Settings, load_settings
from service.storage.database import PRIVATE, file_of, make_folder
from service.storage.keys import KeyRing

HELP_WIDTH = 78  # a terminal's 80 columns, less the indent


def settings_help() -> str:
    """The settings as the help text lists them: a table of names, defaults and descriptions."""
    rows = [("Variable", "Default", "Meaning")]
    for name, field in Settings.model_fields.items():
        default = "-" if field.default is None else str(field.default)
        rows.append((PREFIX + name.upper(), default, field.description or ""))
    names, defaults = (max(len(row[column]) for row in rows) + 2 for column in (0, 1))
    lines = [
        line
        for name, default, description in rows
        for line in textwrap.wrap(
            description,
            HELP_WIDTH,
            initial_indent=name.ljust(names) + default.ljust(defaults),
            subsequent_indent=" " * (names + defaults),
        )
    ]
    # \b keeps the lines as they are.
    return "Serve the model. The settings are environment variables:\n\n\b\n" + "\n".join(lines)


def check_address(host: str, port: int) -> None:
    """Raises `StartupError` if nobody can listen there: sooner than the web server would find out,
    which first loads the model and starts the worker.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        raise StartupError(
            f"ERRATA_HOST '{host}' and ERRATA_PORT {port} can't be listened on: {error.strerror}"
        ) from None


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Makes the data directory. Raises `StartupError` if it can't be made, and while another server
    works in it, or with the same SQLite file, unless they share a database that tells each of what
    the other applies. The locks go with the process, however it ends.
    """
    folder, url = settings.data_dir, settings.resolved_database_url
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"ERRATA_DATA_DIR {folder} can't be made: {error.strerror}") from None
    file = file_of(url)
    if file is None:
        yield
        return
    make_folder(url)
    own = folder.resolve() / DATABASE
    with (
        _locked(own, f"the data directory {folder}"),
        contextlib.nullcontext() if file == own else _locked(file, f"the database {file}"),
    ):
        yield


@contextlib.contextmanager
def _locked(database: Path, what: str) -> Iterator[None]:
    """A data directory's lock is that of the database which is there by default."""
    name = "lock" if database.name == DATABASE else f"{database.name}.lock"
    try:
        with FileLock(database.with_name(name), timeout=0):
            yield
    except Timeout:
        raise StartupError(f"another server uses {what}") from None


@contextlib.contextmanager
def ended_by_sigterm(code: int = 0) -> Iterator[None]:
    """Makes SIGTERM an ordinary end, which tidies up, with the exit code: 0 by default, since it is
    how a server is asked to stop. While it serves, Uvicorn ends the requests first and then raises
    the signal again.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def serve(
    role: Annotated[
        Role | None, typer.Option(help="What this server does, of several; as ERRATA_ROLE.")
    ] = None,
) -> None:
    """Serve the model until interrupted."""
    with ended_by_sigterm():
        with or_fail():
            settings = load_settings() if role is None else load_settings(role=role)
            check_address(settings.host, settings.port)
        with or_fail(), alone(settings):
            _serve(settings)


def _serve(settings: Settings) -> None:
    # torch and transformers take seconds to import: only the server pays.
    from service import app
    from service.commands import web
    from service.journal import journal
    from service.operations.first_key import ensure_admin_key
    from service.tracing import traced

    with journal(settings), traced() as tracer, opened(settings) as database:
        with or_fail():
            made = ensure_admin_key(settings, KeyRing(database))
        # Before the model loads: if that fails, the key is in the database all the same.
        if made is not None:
            out.print("An admin key was made. It is shown only now:")
            out.print(f"  export ERRATA_API_KEY={made}", soft_wrap=True)
        with or_fail():
            services, at_work = app.build(settings, database, tracer)

        web.allow_connections(settings)
        web.favour_answers()
        served = app.create_app(services, at_work)
        web.Web(served, services, settings.host, settings.port).run()
