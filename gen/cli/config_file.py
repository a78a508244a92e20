"""The configuration file: the values of shared flags, by their long names, in YAML."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from gen.errors import UsageError

Value = str | tuple[str, ...]


def file_values(path: str, known: Collection[str], lists: Collection[str]) -> Mapping[str, Value]:
    """The values of a configuration file by flag, as they would stand on a command line.

    Shape: `known` are all names that may occur, `lists` those that may have several values.
    Raises: UsageError with the file, and the line or the key at fault.
    """
    import yaml

    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        raise UsageError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise UsageError(f"{path}: expected a mapping of flags to values")
    for key in loaded:
        if key not in known:
            raise UsageError(f"{path}: there is no flag {key!r} that may stand in a file")
    return {key: spell(path, key, value, many=key in lists) for key, value in loaded.items() if value is not None}


def spell(path: str, key: str, value: object, *, many: bool) -> Value:
    """A value as text, or as several texts.  Raises UsageError for anything that is neither scalar nor list."""
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, str | int):
        return (str(value),) if many else str(value)
    if many and isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return tuple(str(item) for item in value)
    raise UsageError(f"{path}: {key}: expected {'a list of words' if many else 'one value'}")
