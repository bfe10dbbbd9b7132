"""Word lists by path: one word a line, or JSON as data-juicer keeps them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics.stripped_words import Table, hash_list


def check_list(use: str, key: str, path: str, language: str, origin: str) -> None:
    """Raise ConfigError, which says where such lists come from (`origin`), when the list can't be read."""
    if not Path(path).is_file():
        raise ConfigError(f"{use}: {key} = {path!r}: no such file; wanted {origin}")
    read_list(path, language)


def read_list(path: str, language: str) -> tuple[str, ...]:
    """The words in a file: of a `.json`, a list of strings or {language: list}; else its lines that are not blank.

    Raises ConfigError for anything else, for a language the file does not have and for a list without words.
    """
    try:
        text = Path(path).read_text("utf-8")
        words = json.loads(text) if path.endswith(".json") else [line.strip() for line in text.splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: can't be read as a list of words: {error}") from None
    if isinstance(words, dict):
        if language not in words:
            raise ConfigError(f"{path}: no words for {language!r}; it has {', '.join(sorted(words)) or 'none'}")
        words = words[language]
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"{path}: wanted a list of strings, or one for each language")
    if not any(words):
        raise ConfigError(f"{path}: no words in it")
    return tuple(word for word in words if word)


@lru_cache(maxsize=16)
def load_list(path: str, language: str) -> Table:
    """The words of a file as a hash table, read once in a process."""
    return hash_list(read_list(path, language))
