// The browser of answers: index, list, filters, search and the answer that was chosen.

const variantNames = new Map();
const SEARCH_FILES = 8;
const browser = { table: null, list: null, filters: null, job: 0, chosen: -1 };

// All answers in one row of numbers, and what the index knows of each.
class AnswerTable {
  constructor(index) {
    this.index = index;
    this.starts = [];
    this.total = 0;
    for (const one of index.sets) {
      this.starts.push(this.total);
      this.total += one.question ? one.question.length : 0;
    }
    this.byQuestion = new Map();
    index.sets.forEach((one, at) => {
      if (!one.question) return;
      const name = `${one.answerer}/${one.benchmark}/${one.seed}`;
      this.byQuestion.set(name, { at, places: null });
    });
  }

  // The set of a row: the last that begins at or before it and has a row.
  setAt(number) {
    let at = findChunk(this.starts, number);
    while (!this.index.sets[at].question) at -= 1;
    return at;
  }

  setOf(number) { return this.index.sets[this.setAt(number)]; }

  placeOf(number) { return number - this.starts[this.setAt(number)]; }

  scoreOf(number) { return this.setOf(number).score[this.placeOf(number)]; }

  itemOf(number) {
    const one = this.setOf(number);
    return this.index.benchmarks[one.benchmark].items[one.question[this.placeOf(number)]];
  }

  // The row of another model's answer to the same item, sample and generation seed, -1 where there is none.
  findOther(number, answerer) {
    const one = this.setOf(number);
    const sample = one.sample ? one.sample[this.placeOf(number)] : 0;
    const other = this.byQuestion.get(`${answerer}/${one.benchmark}/${one.seed}`);
    if (!other) return -1;
    const set = this.index.sets[other.at];
    if (!other.places) {
      const { items } = this.index.benchmarks[set.benchmark];
      other.places = new Map(set.question.map((question, place) => [`${items[question]}/${set.sample ? set.sample[place] : 0}`, place]));
    }
    const place = other.places.get(`${this.itemOf(number)}/${sample}`);
    return place === undefined ? -1 : this.starts[other.at] + place;
  }

  answerFile(number) {
    const one = this.setOf(number);
    const chunk = findChunk(one.starts, this.placeOf(number));
    return { name: `answers/${one.key}-${chunk}`, first: one.starts[chunk] };
  }

  async readAnswer(number) {
    const { name, first } = this.answerFile(number);
    return (await load(name))[this.placeOf(number) - first];
  }

  questionFile(benchmark, question) {
    const { starts } = this.index.benchmarks[benchmark];
    const chunk = findChunk(starts, question);
    return { name: `questions/${benchmark}-${chunk}`, first: starts[chunk] };
  }

  async readQuestion(number) {
    const one = this.setOf(number);
    const question = one.question[this.placeOf(number)];
    const { name, first } = this.questionFile(one.benchmark, question);
    return (await load(name))[question - first];
  }
}

function fillRow(row, number) {
  const { table } = browser;
  const one = table.setOf(number);
  const benchmark = table.index.benchmarks[one.benchmark];
  const what = el("span", { class: "what" }, table.itemOf(number));
  const who = `${nameAnswerer(table.index.answerers[one.answerer])} · ${benchmark.name}`;
  row.replaceChildren(showScore(table.scoreOf(number), benchmark.measure), what, el("span", { class: "who" }, who));
  table.readQuestion(number).then(
    (question) => { what.textContent = question.turns.join(" ").replace(/\s+/g, " ").slice(0, 160) || table.itemOf(number); },
    () => { what.textContent = `${table.itemOf(number)} (its question cannot be loaded)`; },
  );
}

async function choose(number) {
  const { table, filters } = browser;
  browser.chosen = number;
  byId("answers").classList.add("chosen");
  const compare = filters.compare === "" ? -1 : table.findOther(number, Number(filters.compare));
  const detail = byId("detail");
  try {
    const parts = await buildDetail(table, number, compare, filters.text.trim().toLowerCase());
    if (browser.chosen !== number) return;
    detail.replaceChildren(buildBar(number, compare), ...parts);
    detail.scrollTop = 0;
  } catch (error) {
    if (browser.chosen === number) detail.replaceChildren(el("p", { class: "caution" }, error.message));
  }
}

function buildBar(number, compare) {
  const { table } = browser;
  const one = table.setOf(number);
  const others = table.index.answerers.map((model, at) => [at, model]).filter(([at]) => at !== one.answerer && table.findOther(number, at) >= 0);
  const asked = byId("filters").elements.compare;
  const select = el("select", { name: "beside", onchange: (event) => { asked.value = event.target.value; applyFilters(number); } },
    el("option", { value: "" }, "no other model"),
    ...others.map(([at, model]) => el("option", { value: at, selected: String(at) === asked.value }, nameAnswerer(model))));
  const model = table.index.answerers[one.answerer];
  const benchmark = table.index.benchmarks[one.benchmark];
  const cell = [model.variant_key, model.stage, benchmark.name, benchmark.measure].join("|");
  const origin = el("button", { type: "button", "data-of": cell, "aria-haspopup": "dialog" }, "Lineage");
  const link = el("a", { href: `#answer-${one.key}-${table.placeOf(number)}` }, "link to this answer");
  const missing = asked.value !== "" && compare < 0 ? el("span", { class: "muted" }, "the other model has no answer to this item") : null;
  return el("div", { class: "bar" }, el("label", {}, "Beside", select), missing, origin, link);
}

function report(text) {
  byId("count").textContent = text;
}

function describeCount(found) {
  const { index, total } = browser.table;
  const lost = index.sets.filter((one) => one.missing.length).length;
  const absent = lost ? ` Of ${spaced(index.sets.length)} sets of answers, ${spaced(lost)} lack something that is not here; see the last section.` : "";
  return `${spaced(found)} of ${spaced(total)} answers.${absent}`;
}

async function applyFilters(keepRow = -1) {
  const { table } = browser;
  const job = browser.job += 1;
  browser.filters = readFilters(byId("filters"));
  const rows = filterRows(table, browser.filters, (number, other) => table.findOther(number, other));
  const word = browser.filters.text.trim().toLowerCase();
  if (!word) {
    showRows(rows, keepRow);
    return;
  }
  try {
    const found = await searchRows(rows, word, () => job !== browser.job);
    if (found) showRows(found, keepRow);
  } catch (error) {
    if (job === browser.job) report(error.message);
  }
}

function showRows(rows, keepRow) {
  const { list } = browser;
  const at = keepRow < 0 ? -1 : rows.indexOf(keepRow);
  list.set(rows, at);
  report(describeCount(rows.length));
  byId("count").setAttribute("aria-busy", "false");
  // what is shown stays where its row drops out, with the comparison that is now asked for
  if (keepRow >= 0) choose(keepRow);
}

const holdsWord = (texts, word) => texts.some((text) => text.toLowerCase().includes(word));

function answerTexts(row) {
  const pairs = (row.pairs || []).flatMap((pair) => pair.replies || []);
  return [...row.responses, ...(row.verdicts || []).map((verdict) => verdict.reply), ...pairs];
}

// Reads the files of the rows that are left, some at a time; null where another search began meanwhile.
async function searchRows(rows, word, isStale) {
  const { table } = browser;
  const hits = new Map();
  const files = new Map();
  for (const number of rows) {
    const { name, first } = table.answerFile(number);
    if (!files.has(name)) files.set(name, { first, rows: [] });
    files.get(name).rows.push(number);
  }
  const found = new Set();
  const waiting = [...files];
  let done = 0;
  const work = async () => {
    while (waiting.length && !isStale()) {
      const [name, file] = waiting.shift();
      const texts = await load(name);
      for (const number of file.rows) {
        const one = table.setOf(number);
        const question = `${one.benchmark}/${one.question[table.placeOf(number)]}`;
        if (!hits.has(question)) {
          const { turns, reference } = await table.readQuestion(number);
          hits.set(question, holdsWord([...turns, ...(reference || []), table.itemOf(number)], word));
        }
        if (hits.get(question) || holdsWord(answerTexts(texts[table.placeOf(number) - file.first]), word)) found.add(number);
      }
      done += 1;
      if (!isStale()) report(`Searching: ${spaced(found.size)} found in ${done} of ${files.size} files…`);
    }
  };
  await Promise.all(Array.from({ length: SEARCH_FILES }, work));
  return isStale() ? null : rows.filter((number) => found.has(number));
}

// Called by a number's lineage: its answers alone.
function showAnswers({ variant, stage, benchmark }) {
  const form = byId("filters");
  form.reset();
  for (const [name, value] of Object.entries({ variant, stage, benchmark })) form.elements[name].value = value;
  applyFilters();
  byId("answers").scrollIntoView();
  byId("list").focus({ preventScroll: true });
}

function openLinked() {
  const linked = location.hash.match(/^#answer-([0-9a-f]+)-(\d+)$/);
  if (!linked) return;
  const { table } = browser;
  const at = table.index.sets.findIndex((one) => one.key === linked[1]);
  const number = at < 0 ? -1 : table.starts[at] + Number(linked[2]);
  if (number < 0 || Number(linked[2]) >= (table.index.sets[at].question || []).length) {
    report(`No answer here has the address ${location.hash}.`);
    return;
  }
  byId("filters").reset();
  applyFilters(number);
  byId("answers").scrollIntoView();
}

function listen(form) {
  let timer = 0;
  const later = (event) => {
    byId("count").setAttribute("aria-busy", "true");
    clearTimeout(timer);
    timer = setTimeout(() => applyFilters(browser.chosen), event.target.type === "search" ? 250 : 0);
  };
  form.addEventListener("input", later);
  // the fields are empty only after the event
  form.addEventListener("reset", later);
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("detail").addEventListener("keydown", (event) => {
    if (event.key === "Escape") byId("list").focus();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    form.elements.text.focus();
    byId("answers").scrollIntoView();
  });
  addEventListener("hashchange", openLinked);
}

async function openBrowser() {
  const index = await load("index");
  index.answerers.forEach((one) => variantNames.set(one.variant_key, one.variant));
  learnNames(index.answerers);
  browser.table = new AnswerTable(index);
  browser.list = new RowList(byId("list"), byId("spacer"), fillRow, choose);
  buildFilters(index, byId("filters"));
  listen(byId("filters"));
  await applyFilters();
  openLinked();
  document.documentElement.dataset.ready = "yes";
}

openBrowser().catch((error) => report(error.message));
