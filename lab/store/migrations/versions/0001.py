"""Devices, modules, deployments, apps, events and settings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "device",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("board", sa.String(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=True),
        sa.Column("firmware", sa.String(), nullable=False),
        sa.Column("build_id", sa.String(), nullable=False),
        sa.Column("boot_reason", sa.String(), nullable=False),
        sa.Column("boot_detail", sa.String(), nullable=False),
        sa.Column("boots", sa.BigInteger(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("memory_free", sa.BigInteger(), nullable=False),
        sa.Column("max_module", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "event",
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=True),
        sa.Column("app", sa.String(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("ix_event_device", "event", ["device"])

    op.create_table(
        "module",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "setting",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "app",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("device", "name"),
    )
    op.create_table(
        "deployment",
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["module.digest"],
        ),
        sa.PrimaryKeyConstraint("device", "name"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("deployment")
    op.drop_table("app")
    op.drop_table("setting")
    op.drop_table("module")
    op.drop_index("ix_event_device", "event")

    op.drop_table("event")
    op.drop_table("device")
