"""`python -m atlas.cli` is the command `atlas`."""

from atlas.cli import main

main()
