"""Run by alembic, with the connection that `lab.store` hands over, or by a developer's `alembic revision`."""

from alembic import context
from sqlalchemy import create_engine
from sqlmodel import SQLModel

from lab.store import tables  # noqa: F401  (fills the metadata)


def _migrate(connection) -> None:  # type: ignore[no-untyped-def]
    context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _migrate(given)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url") or "sqlite://").begin() as own:
        _migrate(own)
