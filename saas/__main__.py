"""``python -m saas`` and the command `openpns`: what was compiled is chosen before anything else is imported."""

from __future__ import annotations

from saas import compiled


def main() -> None:
    """Run the command."""
    compiled.use()
    from saas import commands

    commands.main()


if __name__ == "__main__":
    main()
