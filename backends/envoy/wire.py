"""Plain dicts -> protobuf bytes.

The schema is that of the message classes of envoy_data_plane: field numbers, types and enum names are read from them,
so a name that they do not have is an error here.  The classes themselves are not used to serialize: they validate
again at every step, which costs milliseconds a message.  An encoder is compiled once a class.

Dicts are in the form of protobuf's JSON with the names of the .proto files: durations are "1.5s", enums their names or
numbers, an Any has an "@type" beside its fields, a Struct is a dict.  Bytes are bytes.  What is present is written,
defaults too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from struct import pack
from typing import Any

from betterproto2 import Enum, FieldMetadata, Message

from backends.envoy.schema import fields_of, message_class

Encode = Callable[[Any], bytes]
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
INTEGERS = frozenset({"int32", "int64", "uint32", "uint64"})
DURATION = re.compile(r"([0-9]+)(?:\.([0-9]{1,9}))?s")


def packed_any(url: str, value: bytes) -> bytes:
    """The bytes of an Any that holds an encoded message."""
    return field(1, url.encode()) + field(2, value)


def field(number: int, value: bytes) -> bytes:
    """A field of text, bytes, or an encoded message."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def varint(number: int) -> bytes:
    """An integer of variable length; negative ones take ten bytes."""
    if 0 <= number < 0x80:
        return ONE_BYTE[number]
    number &= 0xFFFFFFFFFFFFFFFF
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


ONE_BYTE = tuple(bytes([number]) for number in range(0x80))


# ------------------------------------------------------------------ messages


@cache
def encoder(message: type[Message]) -> Encode:
    """The encoder of a class.  It raises ValueError for unknown names, TypeError for values of another type."""
    if message in SPECIAL:
        return SPECIAL[message]
    metadata = fields_of(message)
    fields: dict[str, Encode] = {}

    def encode(value: Mapping[str, Any]) -> bytes:
        encoded = []
        for name, content in value.items():
            known = fields.get(name)
            if known is None:
                if name not in metadata.meta_by_field_name:
                    raise ValueError(f"{message.__name__} has no field {name!r}")
                known = fields[name] = field_encoder(name, metadata.meta_by_field_name[name], metadata.cls_by_field)
            encoded.append(known(content))
        return b"".join(encoded)

    return encode


def field_encoder(name: str, meta: FieldMetadata, classes: Mapping[str, type]) -> Encode:
    """The encoder of one field, its tag included."""
    if meta.map_meta:
        return map_encoder(meta, classes.get(f"{name}.key", str), classes[f"{name}.value"])
    wire_type, encode = value_encoder(meta, classes[name])
    tag = varint(meta.number << 3 | wire_type)
    one = delimited(tag, encode) if wire_type == LENGTH else lambda value: tag + encode(value)
    if not meta.repeated:
        return one
    if wire_type == LENGTH:
        return lambda values: b"".join([one(value) for value in values])
    return delimited(varint(meta.number << 3 | LENGTH), lambda values: b"".join([encode(value) for value in values]))


def map_encoder(meta: FieldMetadata, key: type, value: type) -> Encode:
    """The encoder of a map: repeated entries with the fields 1 and 2."""
    assert meta.map_meta is not None
    key_meta, value_meta = meta.map_meta
    encode_key = field_encoder("key", key_meta, {"key": key})
    encode_value = field_encoder("value", value_meta, {"value": value})
    entry = delimited(varint(meta.number << 3 | LENGTH), lambda pair: encode_key(pair[0]) + encode_value(pair[1]))
    return lambda content: b"".join([entry(pair) for pair in content.items()])


def delimited(tag: bytes, encode: Encode) -> Encode:
    """An encoder that writes tag and length before its value; what is encoded already is taken as it is."""

    def write(value: Any) -> bytes:
        encoded = value if type(value) is bytes else encode(value)
        return tag + varint(len(encoded)) + encoded

    return write


def value_encoder(meta: FieldMetadata, content: type) -> tuple[int, Encode]:
    """Wire type and encoder of a single value, without its tag."""
    kind = meta.proto_type
    if kind == "message":
        return LENGTH, wrapped_encoder(meta.unwrap()) if meta.unwrap else encoder(content)
    if kind == "enum":
        return VARINT, enum_encoder(content)
    if kind in INTEGERS:
        return VARINT, integer
    return SCALARS[kind]


# ------------------------------------------------------------------ single values


def integer(value: Any) -> bytes:
    """A whole number."""
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r}")
    return varint(value)


def boolean(value: Any) -> bytes:
    """True or false."""
    if type(value) is not bool:
        raise TypeError(f"expected true or false, got {value!r}")
    return b"\1" if value else b"\0"


def string(value: Any) -> bytes:
    """Text."""
    if type(value) is not str:
        raise TypeError(f"expected text, got {value!r}")
    return value.encode()


def raw(value: Any) -> bytes:
    """Bytes; those that are bytes never get here."""
    raise TypeError(f"expected bytes, got {type(value).__name__}")


def enum_encoder(content: type) -> Encode:
    """An enum by its name in the .proto file, or by its number."""
    assert issubclass(content, Enum)
    numbers: dict[Any, bytes] = {member.name: varint(member.value) for member in content}
    numbers |= {int(member.value): varint(member.value) for member in content}
    renamed = content.betterproto_renamed_proto_names_to_value()
    numbers |= {name: varint(number) for name, number in renamed.items()}

    def encode(value: Any) -> bytes:
        if value not in numbers:
            raise ValueError(f"{content.__name__} has no {value!r}")
        return numbers[value]

    return encode


SCALARS: dict[str, tuple[int, Encode]] = {
    "bool": (VARINT, boolean),
    "string": (LENGTH, string),
    "bytes": (LENGTH, raw),
    "double": (FIXED64, lambda value: pack("<d", value)),
    "float": (FIXED32, lambda value: pack("<f", value)),
}


def wrapped_encoder(wrapper: type[Message]) -> Encode:
    """A message around one value (BoolValue and the like), given as that value; or a duration."""
    if wrapper in SPECIAL:
        return SPECIAL[wrapper]
    metadata = fields_of(wrapper)
    return field_encoder("value", metadata.meta_by_field_name["value"], metadata.cls_by_field)


def duration(value: Any) -> bytes:
    """A time: `1.5s`."""
    found = DURATION.fullmatch(value) if type(value) is str else None
    if found is None:
        raise TypeError(f"expected a duration such as 1.5s, got {value!r}")
    nanoseconds = int((found[2] or "").ljust(9, "0"))
    return b"\x08" + varint(int(found[1])) + b"\x10" + varint(nanoseconds)


def any_message(value: Mapping[str, Any]) -> bytes:
    """An Any, with its type as `@type`."""
    url = value["@type"]
    fields = {name: content for name, content in value.items() if name != "@type"}
    return packed_any(url, encoder(message_class(url))(fields))


def struct(value: Mapping[str, Any]) -> bytes:
    """A Struct: any JSON object."""
    return b"".join([field(1, field(1, key.encode()) + field(2, json_value(item))) for key, item in value.items()])


def json_value(value: Any) -> bytes:
    """A Value: anything that JSON can say."""
    if value is None:
        return b"\x08\0"
    if isinstance(value, bool):
        return b"\x20" + boolean(value)
    if isinstance(value, int | float):
        return b"\x11" + pack("<d", value)
    if isinstance(value, str):
        return field(3, value.encode())
    if isinstance(value, Mapping):
        return field(5, struct(value))
    return field(6, b"".join([field(1, json_value(item)) for item in value]))


SPECIAL: dict[type[Message], Encode] = {
    message_class(f"google.protobuf.{name}"): encode
    for name, encode in {"Any": any_message, "Duration": duration, "Struct": struct, "Value": json_value}.items()
}
