"""Texts as tokens and back, with the tokenizer that comes with a checkpoint."""

import json
from collections.abc import Iterable
from typing import Any

import tokenizers
from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from host.checkpoint.checkpoint import Checkpoint
from host.errors import UserError
from host.json_reader import Json, parse_json
from host.regular_file import open_regular

__all__ = ["Tokenizer"]

_CURE = "copy the tokenizer's files of the Hugging Face checkpoint beside the weights"


class Tokenizer:
    """The tokenizer of a checkpoint: that of a GGUF file, or ``tokenizer.json`` beside the weights.

    Attributes
    ----------
    ends : frozenset of int
        The tokens that end an answer.

    Raises
    ------
    UserError
        When there is none, or it cannot be read.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._path, self._made = checkpoint.path, checkpoint.side_files()
        self._folder = self._path if self._path.is_dir() else self._path.parent
        content = self._file("tokenizer.json")
        if content is None:
            why = checkpoint.notices()[0] if checkpoint.notices() else f"{self._folder} has no tokenizer.json"
            raise UserError(f"{self._path} comes without a tokenizer ({why}): {_CURE}")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(content)
        except Exception as error:  # the library raises nothing more precise
            raise UserError(f"the tokenizer.json of {self._path} cannot be used ({error}): {_CURE}") from None
        self._config = checkpoint.config()
        self.ends = frozenset(self._ends())

    def _file(self, name: str) -> bytes | None:
        """Return the content of a file of the tokenizer; None where there is none."""
        if name in self._made or not (self._folder / name).exists():
            return self._made.get(name)
        with open_regular(self._folder / name, _CURE) as file:
            return file.read()

    def _json(self, name: str) -> Json:
        """Return the content of a file, an empty object where there is none. UserError when it is no JSON."""
        return parse_json(self._file(name) or b"{}", f"the {name} of {self._path}", _CURE)

    def _ends(self) -> Iterable[int]:
        """Return the tokens that end an answer."""
        stated = self._json("generation_config.json").get("eos_token_id")
        found = stated.value if stated else self._config.get("eos_token_id")
        return [token for token in (found if isinstance(found, list) else [found]) if isinstance(token, int)]

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, with those that every text begins or ends with."""
        return self._tokenizer.encode(text).ids

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, without those that only structure a text."""
        return self._tokenizer.decode(list(tokens))

    def chat(self, message: str) -> list[int]:
        """Return the tokens of a message to the model, up to where its answer begins.

        Raises
        ------
        UserError
            When the checkpoint has no chat template, or one that cannot be used.
        """
        settings = self._json("tokenizer_config.json").object()
        template = self._template(settings)
        if template is None:
            raise UserError(f"{self._path} has no chat template: have it go on with the prompt as it is, with --raw")
        special = {name: value.get("content") if isinstance(value, dict) else value
                   for name, value in settings.items() if name.endswith("_token")}

        def refuse(why: str) -> None:
            raise TemplateError(why)

        rules = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        rules.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        rules.globals["raise_exception"] = refuse
        try:
            text = rules.from_string(template).render(
                messages=[{"role": "user", "content": message}], add_generation_prompt=True, **special)
        except (TemplateError, TypeError, ValueError) as error:
            raise UserError(f"the chat template of {self._path} cannot be used ({error}): have it go on with the "
                            "prompt as it is, with --raw") from None
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _template(self, settings: dict[str, Any]) -> str | None:
        """Return the chat template; None where there is none."""
        if (file := self._file("chat_template.jinja")) is not None:
            return file.decode(errors="replace")
        found = settings.get("chat_template")
        if isinstance(found, list):  # several, with names
            found = next((entry.get("template") for entry in found
                          if isinstance(entry, dict) and entry.get("name") == "default"), None)
        return found if isinstance(found, str) else None
