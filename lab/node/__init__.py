"""A gateway's node: polls its plugins, shows what they measured, and pushes it to the hub of its cluster."""
