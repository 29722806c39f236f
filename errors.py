"""The base of errors that a user can cause and mend."""

from __future__ import annotations


class OhmloomError(Exception):
    """One clear sentence: what was found, where, and what is accepted.

    The command line prints it and exits with ``exit_code``. This file imports
    nothing of the project, so every part may derive its own errors.
    """

    exit_code = 2
