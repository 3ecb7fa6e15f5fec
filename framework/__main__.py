"""`python -m framework` is `dream`."""

from framework.cli import main

main()
