"""The errors a user can meet.

    CorpusmillError
    ├── ConfigError       the recipe or the arguments are wrong       exit 2
    ├── InputError        a source can't be found or opened at all    exit 1
    ├── LedgerError       documents, bytes or ids do not balance      exit 1
    ├── QuarantineError   more bad input than the recipe allows       exit 1
    └── IntegrityError    a file is not what its manifest says        exit 1
        └── NotCommitted  there is no manifest yet

Every message says what is wrong, where, what was got, what was wanted, and what to do.
"""


class CorpusmillError(Exception):
    """Anything corpusmill raises on purpose."""

    exit_code = 1


class ConfigError(CorpusmillError):
    """The recipe, an option or an argument is wrong; nothing has been done yet."""

    exit_code = 2


class InputError(CorpusmillError):
    """A source can't be found or opened at all."""


class LedgerError(CorpusmillError):
    """A stage or a run does not account for every document: a bug, never the user's fault."""


class QuarantineError(CorpusmillError):
    """The share of unreadable records is above the recipe's `max_quarantine_ratio`."""


class IntegrityError(CorpusmillError):
    """A file is missing, cut or changed against the manifest that names it."""


class NotCommitted(IntegrityError):
    """The manifest that would name the wanted files does not exist: the stage never finished."""
