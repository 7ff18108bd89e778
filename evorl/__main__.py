"""`python -m evorl`."""

from evorl.cli import main

main()
