"""`python -m bot`: the command line, where the script `hercules` is not on the path."""

from bot.cli import main

main(prog_name="hercules")
