"""The languages and skills that this laboratory tells apart."""

from typing import Literal

Language = Literal["en", "ja"]
Category = Literal["code", "general", "math", "reasoning"]

BenchmarkLanguage = Literal["en", "ja", "zh"]
"""Of a benchmark: languages that models are asked in, whether or not they were trained in them."""

RawLanguage = Literal["en", "ja", "zh", "ko", "code"]
"""Of raw text, which has no cell and no benchmark: `code` is text in programming languages, whatever its comments."""

LANGUAGES: tuple[Language, ...] = ("en", "ja")
CATEGORIES: tuple[Category, ...] = ("code", "general", "math", "reasoning")
RAW_LANGUAGES: tuple[RawLanguage, ...] = ("en", "ja", "zh", "ko", "code")
