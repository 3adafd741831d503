"""The key that a server can't do without: the operator's, or one that is made."""

from service.domain.keys import KeyState, Scope
from service.errors import StartupError
from service.settings import Settings
from service.storage.database import now
from service.storage.keys import KeyRing, new_secret


def ensure_admin_key(settings: Settings, keys: KeyRing) -> str | None:
    """Makes sure that there is a key. Returns the secret if one was made: it is shown this once.

    Raises `StartupError` for an address that others can reach while no key was configured, and for
    a configured key that was revoked or has expired.
    """
    given = settings.configured_admin_key
    if given is not None:
        key = keys.add("admin", Scope.ADMIN, given)
        state: str = key.state(now())
        if key.scope is not Scope.ADMIN:
            state = f"of scope '{key.scope}'"
        if state != KeyState.ACTIVE:
            raise StartupError(f"the configured admin key is known here and {state}")
        return None
    if keys.any_active():
        return None
    if settings.listens_beyond_loopback:
        raise StartupError(
            f"ERRATA_HOST is {settings.host}, which others can reach, and no key is configured: "
            "set ERRATA_ADMIN_KEY_FILE, or run `errata keys create --scope admin` first"
        )
    secret = new_secret()
    return None if keys.add_first("admin", Scope.ADMIN, secret) is None else secret
