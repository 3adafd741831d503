"""The lease in the database, and the fence that every write of its holder passes."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.domain.leases import Lease
from service.errors import LostLeaseError
from service.storage.database import Database, now
from service.storage.tables import LeaseRow

ONLY = 1  # the row


class Leases:
    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self.seconds = seconds  # that a lease lasts without being renewed
        self.lapse = database.is_shared  # nobody else can have a file of ours

    def take(self, holder: str) -> Lease | None:
        """None while another holder has it."""
        try:
            with self._database.write(quiet=True) as session:
                row = session.get(LeaseRow, ONLY, with_for_update=True)
                moment = _clock(session)
                if row is None:
                    row = LeaseRow(id=ONLY, token=0)
                    session.add(row)
                elif row.expires_at > moment and self.lapse:
                    return None
                row.holder = holder
                row.token += 1
                row.expires_at = moment + timedelta(seconds=self.seconds)
                session.flush()
                return Lease(holder, row.token)
        except IntegrityError:  # another server was the first of all
            return None

    def renew(self, lease: Lease) -> None:
        """Raises `LostLeaseError` once another holder has it."""
        with self._database.write(quiet=True) as session:
            row = fence(session, lease)
            row.expires_at = _clock(session) + timedelta(seconds=self.seconds)

    def give_back(self, lease: Lease) -> None:
        """Another server can take it at once."""
        with self._database.write() as session:
            row = session.get(LeaseRow, ONLY, with_for_update=True)
            if row is not None and row.token == lease.token:
                row.expires_at = _clock(session)


def fence(session: Session, lease: Lease) -> LeaseRow:
    """Lets a transaction go on if `lease` is still the last one, which it then is until its end.
    Raises `LostLeaseError`.
    """
    row = session.get(LeaseRow, ONLY, with_for_update=True)
    if row is None or row.token != lease.token:
        raise LostLeaseError(lease.token, row.token if row else 0)
    return row


def _clock(session: Session) -> datetime:
    """The database's: servers may not agree on the time."""
    if session.get_bind().dialect.name == "sqlite":
        return now()
    moment: datetime = session.scalars(select(func.clock_timestamp())).one()
    return moment
