"""`test`: runs a stage of the method. What can be refused without PyTorch is refused before it."""

from __future__ import annotations

from no_time_to_train.commands import early_checks, parsing


def main(arguments: list[str]) -> None:
    """Run a stage.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: Something that the user gave cannot work.
    """
    parsing.register()
    early_checks.check(arguments)
    from no_time_to_train.commands import lightning_cli  # takes seconds

    lightning_cli.run(arguments)
