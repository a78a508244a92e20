"""The text of request.lua, the one filter of ours."""

from importlib.resources import files

SCRIPT_TEXT = files(__package__).joinpath("request.lua").read_bytes()
