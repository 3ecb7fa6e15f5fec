"""What a user did that cannot work: one sentence that says what is wrong, where, and what would mend it."""

from typing import final


@final
class UserError(Exception):
    """A mistake that the user can mend. The command line prints its text alone and exits with status 2."""
