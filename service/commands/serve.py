"""`errata serve`: the server itself."""

from collections.abc import Callable
from typing import Any

from service.commands.client import Exit, fail, out
from service.errors import StartupError
from service.settings import PREFIX, Settings, load_settings
from service.storage.database import open_database
from service.storage.keys import KeyRing


def settings_help() -> str:
    """The settings as the help text lists them."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f" [{field.default}]"
        lines.append(f"{PREFIX}{name.upper()}{default}  {field.description}")
    return "Serve the model. Settings are environment variables:\n\n\b\n" + "\n".join(lines)


def or_fail(step: Callable[[], Any]) -> Any:
    """Runs a step of the start; what stops it is one line."""
    try:
        return step()
    except StartupError as error:
        fail(str(error), Exit.REFUSED)


def serve() -> None:
    """Serve the model until interrupted."""
    settings = or_fail(load_settings)
    # torch and transformers take seconds to import: only the server pays.
    import uvicorn

    from service import app

    database = or_fail(lambda: open_database(settings.resolved_database_url))
    made = or_fail(lambda: app.ensure_admin_key(settings, KeyRing(database)))
    services, worker = or_fail(lambda: app.build(settings, database))
    if made is not None:
        out.print("An admin key was made. It is shown only now:", highlight=False)
        out.print(f"  export ERRATA_API_KEY={made}", highlight=False, soft_wrap=True)
    try:
        uvicorn.run(
            app.create_app(services, worker),
            host=settings.host,
            port=settings.port,
            log_level="info",
        )
    finally:
        database.close()
