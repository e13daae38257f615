"""What a user can fix (exit code 2) and the rest (exit code 1); each message says found, expected, cure."""


class RecsysError(Exception):
    """Base of all own errors."""

    exit_code = 1


class UserError(RecsysError, ValueError):
    """What whoever runs the job can fix: configuration, input, machine."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""


class InputError(UserError):
    """Input is missing, empty or not what the source mapping says."""


class SchemaError(UserError):
    """A table or file lacks a column or has another type than stated."""


class DataQualityError(UserError):
    """Rows break a promise of their table, such as a unique key."""


class EnvironmentProblem(UserError):
    """The machine lacks something: Java, disk space, a free port."""


class LakeBusyError(UserError):
    """Another run is writing to the same lake."""


class WorkerFailedError(RecsysError):
    """A training worker died or was killed."""
