"""Rollouts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply it."""
    op.create_table(
        "rollout",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("package", sa.String(), nullable=False),
        sa.Column("other", sa.String(), nullable=True),
        sa.Column("split", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("pause", sa.Float(), nullable=False),
        sa.Column("max_failures", sa.Integer(), nullable=False),
        sa.Column("canary", sa.Integer(), nullable=False),
        sa.Column("forgiven", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("rollback_of", sa.Integer(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["package"], ["package.id"]),
        sa.ForeignKeyConstraint(["other"], ["package.id"]),
        sa.ForeignKeyConstraint(["rollback_of"], ["rollout.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "rollout_device",
        sa.Column("rollout", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("arm", sa.String(), nullable=False),
        sa.Column("canary", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("started", sa.Float(), nullable=True),
        sa.Column("trial", sa.Float(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["rollout"], ["rollout.id"]),
        sa.ForeignKeyConstraint(["previous"], ["package.id"]),
        sa.PrimaryKeyConstraint("rollout", "device"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("rollout_device")
    op.drop_table("rollout")
