"""Leaks of benchmark items as they happen, made on purpose: verbatim, lightly edited, with other numbers.

A light edit changes case or punctuation, or replaces one content word in 15 (one per 30 Japanese characters) by another
of the same benchmark; at least one. Also invented items and decoys in English and Japanese, for tests without data.
"""

import random
import re
from collections.abc import Callable, Sequence

KINDS = ("verbatim", "case", "punctuation", "one word in 15", "numbers")
LIGHT = KINDS[:4]
"""What is to be found; leaks with changed numbers are only counted."""

_JAPANESE = re.compile(r"[\u3005-\u3007\u3041-\u30ff\u3400-\u9fff]")
_JAPANESE_WORD = re.compile(r"[\u4e00-\u9fff々]+|[\u30a1-\u30faー]{2,}")
_WORD = re.compile(r"[A-Za-z]{2,}")
_ENGLISH_WORD = re.compile(r"[A-Za-z]{4,}")
_LITTLE_WORDS = re.compile(
    "that|this|with|from|they|them|their|have|each|more|many|much|what|when|which|will|would|could|there|then|than|"
    "were|been|does|into|some|only|also|both|after|before",
    re.I,
)
_NUMBER = re.compile(r"[0-9０-９]+")


def is_japanese(text: str) -> bool:
    """Whether the text holds kana or Chinese characters, and as many of them as words."""
    return len(_JAPANESE.findall(text)) >= max(1, len(_WORD.findall(text)))


def find_content_words(text: str) -> list["re.Match[str]"]:
    """Find what carries the meaning: longer words of English, runs of Chinese characters or katakana."""
    if is_japanese(text):
        return list(_JAPANESE_WORD.finditer(text))
    return [match for match in _ENGLISH_WORD.finditer(text) if not _LITTLE_WORDS.fullmatch(match[0])]


def replace_words(text: str, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """Replace one content word in 15 words, or in 30 Japanese characters, at places drawn without repetition."""
    words = find_content_words(text)
    units = len(_JAPANESE.findall(text)) / 30 if is_japanese(text) else len(_WORD.findall(text)) / 15
    chosen = sorted(rng.sample(range(len(words)), min(len(words), max(1, round(units)))))
    pieces, at = [], 0
    for place in chosen:
        match = words[place]
        others = [word for word in rng.sample(vocabulary, 3) if word != match[0]]
        pieces += [text[at : match.start()], others[0]]
        at = match.end()
    return "".join(pieces) + text[at:]


def change_punctuation(text: str, rng: random.Random) -> str:
    """Drop, swap or widen marks; digits of Japanese text become full-width."""
    if is_japanese(text):
        marks = rng.choice(("，．", "  ", "、\n"))
        return text.translate(str.maketrans("、。0123456789", marks + "０１２３４５６７８９"))
    return re.sub(r"[,.;:!?](?=\s|$)", lambda match: rng.choice(("", " -", "!", ";")), text).replace("'", "’")


def make_leak(kind: str, text: str, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """Return `text` as a leak of a kind holds it."""
    edits: dict[str, Callable[[], str]] = {
        "verbatim": lambda: text,
        "case": lambda: rng.choice((text.upper(), text.title(), text.lower())),
        "punctuation": lambda: change_punctuation(text, rng),
        "one word in 15": lambda: change_punctuation(replace_words(text, rng, vocabulary), rng),
        "numbers": lambda: _NUMBER.sub(lambda match: str(rng.randrange(2, 99)), text),
    }
    return edits[kind]()


def collect_vocabulary(texts: Sequence[str], japanese: bool) -> list[str]:
    """Collect the content words of texts in one language."""
    return sorted({match[0] for text in texts if is_japanese(text) == japanese for match in find_content_words(text)})


_WORDS = {
    False: {
        "person": "baker farmer teacher student driver gardener painter carpenter nurse sailor hunter singer",
        "place": "basket market garden school station kitchen library harbour mountain bridge castle forest",
        "thing": "apples pencils tickets bottles letters blankets candles ribbons marbles cookies lamps coins",
        "deed": "sells buys carries counts sorts packs borrows delivers collects repairs paints hides",
        "time": "morning evening holiday winter summer weekend festival journey lesson party storm harvest",
    },
    True: {
        "person": "店員 農家 先生 生徒 運転手 庭師 画家 大工 看護師 船員 猟師 歌手",
        "place": "市場 学校 駅前 台所 図書館 港 山小屋 公園 工場 博物館 橋 城",
        "thing": "りんご 鉛筆 切符 空き瓶 手紙 毛布 ろうそく リボン ビー玉 クッキー ランプ 硬貨",
        "deed": "売り 買い 運び 数え 並べ 包み 借り 届け 集め 直し 塗り 隠し",
        "time": "朝 夕方 休日 冬 夏 週末 祭り 旅行 授業 宴会 嵐 収穫",
    },
}
_FORMS = {
    False: (
        "The {person} at the {place} {deed} {number} {thing} before the {time}.",
        "Near the {place}, a {person} {deed} {number} {thing} and some {other}.",
        "During the {time} one {person} {deed} {thing} with {number} {other} in the {place}.",
    ),
    True: (
        "{person}は{time}の前に{place}で{thing}を{number}個{deed}ます。",
        "{place}では、{person}が{number}個の{thing}と{other}を{deed}ました。",
        "{time}のあいだ、ある{person}が{other}{number}個と一緒に{thing}を{place}まで{deed}ます。",
    ),
}
_QUESTIONS = {False: "How many {thing} are there in all?", True: "全部で{thing}は何個ですか？"}


def invent_item(rng: random.Random, japanese: bool) -> str:
    """Invent a word problem of five sentences: many share words and turns of phrase, none a stretch of text."""
    sentences = []
    for form in [*rng.choices(_FORMS[japanese], k=4), _QUESTIONS[japanese]]:
        drawn = {name: rng.choice(words.split()) for name, words in _WORDS[japanese].items()}
        other = rng.choice(_WORDS[japanese]["thing"].split())
        sentences.append(form.format(**drawn, other=other, number=rng.randrange(2, 90)))
    return ("" if japanese else " ").join(sentences)
