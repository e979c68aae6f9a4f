"""Answers that no model gave, with scores and verdicts, as their stages leave them."""

import json
import random
from pathlib import Path
from typing import Any

WORDS = (
    "the",
    "mixture",
    "holds",
    "half",
    "code",
    "words",
    "数学",
    "の",
    "問題",
    "を",
    "解く",
    "is",
    "not",
    "known",
    "here",
)
NEEDLE = "a needle in the hay"
NASTY = "</script><img src=x onerror=alert(1)><script>alert(2)</script>\u2028"


def say(choice: random.Random, words: int) -> str:
    """Draw so many words."""
    return " ".join(choice.choices(WORDS, k=words))


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a row a line."""
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


def respond(item: str, turns: list[str], said: list[str]) -> dict[str, Any]:
    """Build one answer to all turns of an item."""
    return {
        "item": item,
        "turn_prompts": turns,
        "prompt_digests": ["00" * 32] * len(turns),
        "responses": said,
        "prompt_tokens": [30] * len(turns),
        "response_tokens": [len(text) // 4 for text in said],
        "finish_reasons": ["stop"] * len(turns),
    }


def write_scored(folder: Path, items: int, skill: float, choice: random.Random) -> Path:
    """Write answers of which a share of `skill` is right, and their scores."""
    folder.mkdir(parents=True)
    responses, scores = [], []
    for item in range(items):
        text = NASTY if item == 3 else f"{NEEDLE} {item}" if choice.random() < 0.001 else say(choice, 60)
        right, parsed = choice.random() < skill, choice.random() < 0.95
        responses.append(respond(f"gsm8k/{item}", [f"Question {item}: how many are {item} and one?"], [text]))
        score = {
            "item": f"gsm8k/{item}",
            "score": float(right and parsed),
            "parsed": parsed,
            "extracted": "42" if parsed else None,
        }
        scores.append({**score, "note": None})
    write_lines(folder / "responses.jsonl", responses)
    write_lines(folder / "scores.jsonl", scores)
    (folder / "index.json").write_text(json.dumps({"scorer": "final_number", "unsolvable": []}))
    return folder


def write_judged(folder: Path, items: int, skill: float, choice: random.Random) -> Path:
    """Write dialogues of two turns, and ratings around 1 + 8 * `skill`."""
    folder.mkdir(parents=True)
    responses, verdicts = [], []
    for item in range(items):
        turns = [f"質問 {item}: なぜですか？", "もっと短く。"]
        responses.append(respond(f"mt/{item}", turns, [say(choice, 40), say(choice, 15)]))
        for turn in (1, 2):
            score = float(min(10, max(1, round(choice.gauss(1 + 8 * skill, 2)))))
            reply = f"{say(choice, 25)} Rating: [[{score:g}]]"
            said = {"item": f"mt/{item}", "turn": turn, "score": score, "parsed": True, "reply": reply}
            verdicts.append({**said, "prompt_digest": "00" * 32, "verdict_id": f"{item:032x}{turn:032x}"})
    write_lines(folder / "responses.jsonl", responses)
    write_lines(folder / "verdicts.jsonl", verdicts)
    (folder / "index.json").write_text(json.dumps({"judge": "made-up judge"}))
    return folder


CERTIFICATE: dict[str, Any] = {
    "seed": 1,
    "unit": "tokens",
    "budget": 1000,
    "max_epochs": "4",
    "on_empty_cell": "error",
    "sequence_tokens": 100,
    "windows": 10,
    "sources": {
        "label": ["en/math"],
        "requested_ratio": ["1"],
        "requested": [1000],
        "population_tokens": [40000],
        "allocated_tokens": [1000],
        "target_tokens": [1000],
        "response_tokens": [600],
        "windows": [10],
        "epochs": [0.025],
        "first_document": [0],
        "last_document": [87],
        "padding_tokens": [0],
        "cut_tokens": [0],
    },
    "repeated": [],
    "axes": {},
    "deviation": {"windows": 0.0, "source": 0},
}
