"""The message classes of envoy_data_plane, which are the schema of what is sent."""

from __future__ import annotations

import importlib
import re
import warnings
from typing import Any

from betterproto2 import Message

TYPE_URL = "type.googleapis.com/"
_METADATA = "_betterproto"  # there is no public way to it


def message_class(name: str) -> type[Message]:
    """The class of a message by its full name or its type URL; its module is imported now.  Raises ValueError."""
    package, _, own_name = name.removeprefix(TYPE_URL).rpartition(".")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the generated code is not ours to mend
            module = importlib.import_module(f"envoy_data_plane.{package}")
            found: object = getattr(module, _pascal(own_name))
    except (ImportError, AttributeError) as error:
        raise ValueError(f"there is no message {name}") from error
    assert isinstance(found, type)
    assert issubclass(found, Message)
    return found


def _pascal(name: str) -> str:
    """The name as the generated code has it: of RBACPerRoute, RbacPerRoute."""
    return re.sub(r"[A-Z]+(?=[A-Z][a-z]|$)", lambda found: found[0].capitalize(), name)


def fields_of(message: type[Message]) -> Any:
    """What is known of the fields of a class: `meta_by_field_name` and `cls_by_field`."""
    return getattr(message, _METADATA)
