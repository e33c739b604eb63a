"""Packages in place of bare modules; labels and the development flag of devices."""

import sqlalchemy as sa
from alembic import op

from lab.packages import package_id

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply it; a module that was deployed becomes an unsigned package."""
    op.create_table(
        "package",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("publisher", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["module.digest"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_package_name", "package", ["name"])

    # Not in a batch: that makes the table anew, and to drop the old one deletes what refers to it.
    op.add_column("device", sa.Column("development", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("device", sa.Column("labels", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("app", sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("app", sa.Column("version", sa.String(), nullable=False, server_default=""))
    op.add_column("app", sa.Column("rejected", sa.String(), nullable=False, server_default=""))

    connection = op.get_bind()
    rows = (
        connection.execute(sa.text("SELECT device, name, digest, created FROM deployment")).mappings().all()
    )
    op.drop_table("deployment")
    op.create_table(
        "deployment",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["package"], ["package.id"]),
        sa.ForeignKeyConstraint(["previous"], ["package.id"]),
        sa.PrimaryKeyConstraint("device", "name"),
    )
    tables = sa.MetaData()
    tables.reflect(connection, only=["package", "deployment"])
    packages = {}
    for row in rows:
        id = package_id(row["name"], b"", row["digest"])
        packages[id] = {
            "id": id,
            "name": row["name"],
            "version": "",
            "sequence": 0,
            "publisher": "",
            "digest": row["digest"],
            "envelope": b"",
            "created": row["created"],
        }
    if packages:
        op.bulk_insert(tables.tables["package"], list(packages.values()))
        op.bulk_insert(
            tables.tables["deployment"],
            [
                {
                    "device": row["device"],
                    "name": row["name"],
                    "package": package_id(row["name"], b"", row["digest"]),
                    "previous": None,
                    "created": row["created"],
                }
                for row in rows
            ],
        )


def downgrade() -> None:
    """Take it back; a package becomes the module it holds."""
    connection = op.get_bind()
    rows = (
        connection.execute(
            sa.text(
                "SELECT device, deployment.name AS name, digest, deployment.created AS created"
                " FROM deployment JOIN package ON package.id = deployment.package"
            )
        )
        .mappings()
        .all()
    )
    op.drop_table("deployment")
    op.create_table(
        "deployment",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["digest"], ["module.digest"]),
        sa.PrimaryKeyConstraint("device", "name"),
    )
    tables = sa.MetaData()
    tables.reflect(connection, only=["deployment"])
    if rows:
        op.bulk_insert(tables.tables["deployment"], [dict(row) for row in rows])
    for column in ("sequence", "version", "rejected"):
        op.drop_column("app", column)
    for column in ("development", "labels"):
        op.drop_column("device", column)
    op.drop_index("ix_package_name", "package")

    op.drop_table("package")
