// One answer in full, alone or beside another model's answer to the same question.

// Text with the words that were searched for marked in it.
function mark(text, word) {
  if (!word) return [text];
  const parts = [];
  const low = text.toLowerCase();
  // some letters change their length in lower case, and then places do not agree
  if (low.length !== text.length) return [text];
  let from = 0;
  for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, from)) {
    parts.push(text.slice(from, at), el("mark", {}, text.slice(at, at + word.length)));
    from = at + word.length;
  }
  return [...parts, text.slice(from)];
}

function showText(text, kind, word) {
  const blank = !text.trim();
  const shown = blank ? [text === "" ? "(empty)" : `(${text.length} blank characters)`] : mark(text, word);
  return el("pre", { class: `text ${kind}${blank ? " blank" : ""}`, dir: "auto" }, ...shown);
}

const renderScore = (score) => (score === null || score === undefined ? "–" : String(Math.round(score * 100) / 100));

function gradeScore(score, measure) {
  if (score === null) return "";
  const share = measure === "judge_score" ? (score - 1) / 9 : score;
  return share >= 0.75 ? "high" : share <= 0.25 ? "low" : "";
}

const showScore = (score, measure) => el("span", { class: `score ${gradeScore(score, measure)}` }, renderScore(score));

function showVerdict(verdict, word) {
  const rating = verdict.score === null ? "no rating could be read" : `rating ${renderScore(verdict.score)}`;
  return el("div", { class: "verdict" },
    el("p", {}, `Judge run ${verdict.run}: ${rating} · verdict `, el("span", { class: "key" }, verdict.verdict_id.slice(0, 16))),
    showText(verdict.reply, "judge", word));
}

// Replies stand in the order in which they were asked for: first with the answer of `a` shown first, then with that of `b`.
function showPair(pair, index, word) {
  const own = pair.second ? "b" : "a";
  const outcome = pair.identical ? "the same words, so nothing was asked" : pair.outcome === null ? "could not be read"
    : pair.outcome === "tie" ? "tie" : pair.outcome === own ? "this answer was preferred" : "the other answer was preferred";
  const other = index.sets.find((one) => one.key === pair.other);
  const name = other ? nameAnswerer(index.answerers[other.answerer]) : pair.other;
  const replies = (pair.replies || []).flatMap((reply, at) => [
    el("p", { class: "meta" }, `${"ab"[at] === own ? "This" : "The other"} answer shown first:`), showText(reply, "judge", word),
  ]);
  return el("div", { class: "verdict" },
    el("p", {}, `Turn ${pair.turn}, judge run ${pair.run}, against ${name}: ${outcome}${pair.flipped ? " (the order decided)" : ""}`),
    ...replies);
}

function showSide(table, number, row, word) {
  const one = table.setOf(number);
  const { measure } = table.index.benchmarks[one.benchmark];
  const score = table.scoreOf(number);
  const parts = [el("h4", {}, nameAnswerer(table.index.answerers[one.answerer]), " ", showScore(score, measure))];
  row.responses.forEach((response, turn) => {
    const end = row.ends[turn] === "stop" ? "" : ` · ended by ${row.ends[turn]}`;
    const tokens = row.tokens[turn] === null || row.tokens[turn] === undefined ? "" : ` · ${row.tokens[turn]} tokens`;
    const cut = row.cut && row.cut[turn] ? ` · the prompt was shown without its first ${row.cut[turn]} tokens` : "";
    parts.push(el("h4", {}, `Answer${row.responses.length > 1 ? `, turn ${turn + 1}` : ""}${tokens}${end}${cut}`),
      showText(response, "answer", word));
    parts.push(...(row.verdicts || []).filter((verdict) => verdict.turn === turn + 1).map((verdict) => showVerdict(verdict, word)));
  });
  if (row.score) {
    const read = row.score.parsed ? `read as “${row.score.extracted ?? ""}”` : "nothing in it could be scored";
    parts.push(el("p", { class: "meta" }, `Score ${renderScore(row.score.score)}: ${read}${row.score.note ? ` · ${row.score.note}` : ""}`));
  }
  if (row.pairs) parts.push(el("h4", {}, "Compared pairwise"), ...row.pairs.map((pair) => showPair(pair, table.index, word)));
  if (one.missing.length) parts.push(el("p", { class: "caution" }, `Not here: ${one.missing.join("; ")}`));
  return el("div", {}, ...parts);
}

async function buildDetail(table, number, other, word) {
  const one = table.setOf(number);
  const benchmark = table.index.benchmarks[one.benchmark];
  const numbers = other < 0 ? [number] : [number, other];
  const [question, ...rows] = await Promise.all([table.readQuestion(number), ...numbers.map((at) => table.readAnswer(at))]);
  const category = benchmark.categories[one.question[table.placeOf(number)]];
  const facts = [benchmark.name, benchmark.language, category, `generation seed ${one.seed}`].filter(Boolean).join(" · ");
  const parts = [el("h3", {}, `Item ${question.item}`), el("p", { class: "meta" }, facts, " · answers ", el("span", { class: "key" }, one.key))];
  question.turns.forEach((turn, at) => {
    parts.push(el("h4", {}, `Question${question.turns.length > 1 ? `, turn ${at + 1}` : ""}`), showText(turn, "question", word));
  });
  const reference = question.reference
    ? question.reference.map((text, at) => [el("h4", {}, `Reference${question.reference.length > 1 ? `, turn ${at + 1}` : ""}`), showText(text, "question", word)])
    : [[el("p", { class: "meta" }, benchmark.missing || "No reference answer belongs to this item.")]];
  const sides = el("div", { class: `sides${rows.length > 1 ? " two" : ""}` }, ...rows.map((row, at) => showSide(table, numbers[at], row, word)));
  return [...parts, ...reference.flat(), sides];
}
