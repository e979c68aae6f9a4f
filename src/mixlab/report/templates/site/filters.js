// What is looked for: choices made from what there is, and a test for each row.

const PARSED_NAMES = [["", "read or not"], ["1", "read"], ["0", "not read"], ["-", "not scored"], ["p", "part of the judgings"]];
const ORDERS = [["model", "by model"], ["question", "by question"], ["low", "lowest score first"], ["high", "highest score first"]];
const DIFFERENCES = [
  ["", "whatever they score"], ["differ", "where scores differ"], ["better", "where the first is better"],
  ["worse", "where the second is better"],
];

const unique = (values) => [...new Set(values)].sort((one, other) => String(one).localeCompare(String(other), "en", { numeric: true }));

function buildSelect(name, label, options) {
  const select = el("select", { name }, ...options.map(([value, text]) => el("option", { value }, text)));
  return el("label", {}, label, select);
}

const buildFacet = (name, label, values, show = (value) => value || "none") =>
  buildSelect(name, label, [["", `all (${values.length})`], ...values.map((value) => [value === "" ? "none" : value, show(value)])]);

// What tells models apart: their base model and seeds where there are several of them.
const telling = { base: false, seeds: new Set() };

function learnNames(answerers) {
  telling.base = new Set(answerers.map((one) => one.base_model).filter(Boolean)).size > 1; // a served model has none
  for (const name of unique(answerers.flatMap((one) => Object.keys(one.seeds)))) {
    if (unique(answerers.filter((one) => name in one.seeds).map((one) => one.seeds[name])).length > 1) telling.seeds.add(name);
  }
}

function nameAnswerer(one) {
  const seeds = Object.entries(one.seeds).filter(([name]) => telling.seeds.has(name)).map(([name, value]) => `${nameSeed(name)} ${value}`);
  return [one.variant, telling.base ? one.base_model : "", nameStage(one.stage), ...seeds].filter(Boolean).join(" · ");
}

function buildFilters(index, form) {
  const { answerers, benchmarks, sets } = index;
  const of = (name) => unique(answerers.map((one) => one[name]));
  const answerSeeds = unique(sets.map((one) => one.seed));
  const variants = unique(answerers.map((one) => one.variant_key));
  const names = new Map(answerers.map((one) => [one.variant_key, one.variant]));
  const search = el("input", { type: "search", name: "text", placeholder: "in questions, answers and judgments", autocomplete: "off", spellcheck: "false" });
  form.append(
    el("label", { class: "search" }, "Text", search),
    buildFacet("base_model", "Base model", of("base_model")),
    buildFacet("mixture", "Mixture", of("mixture")),
    buildFacet("variant", "Variant", variants, (key) => names.get(key)),
    buildFacet("stage", "Stage", of("stage"), nameStage),
    ...[...telling.seeds].map((name) => buildFacet(`seed:${name}`, nameSeed(name), unique(answerers.filter((one) => name in one.seeds).map((one) => one.seeds[name])))),
    ...(answerSeeds.length > 1 ? [buildFacet("generation_seed", "generation seed", answerSeeds)] : []),
    buildFacet("benchmark", "Benchmark", unique(benchmarks.map((one) => one.name))),
    buildFacet("language", "Language", unique(benchmarks.map((one) => one.language))),
    buildFacet("category", "Category", unique(benchmarks.flatMap((one) => [...new Set(one.categories)]))),
    el("label", {}, "Score from, to", el("span", { class: "range" },
      el("input", { type: "number", name: "least", step: "any", "aria-label": "lowest score" }), "–",
      el("input", { type: "number", name: "most", step: "any", "aria-label": "highest score" }))),
    buildSelect("parsed", "Read", PARSED_NAMES),
    buildSelect("compare", "Compare with", [["", "no other model"], ...answerers.map((one, at) => [at, nameAnswerer(one)])]),
    buildSelect("difference", "of these", DIFFERENCES),
    buildSelect("order", "Order", ORDERS),
    el("button", { type: "reset" }, "Clear"),
  );
}

const readFilters = (form) => Object.fromEntries(new FormData(form));

function testSet(index, filters) {
  const matches = (name, value) => !filters[name] || filters[name] === (value === "" ? "none" : String(value));
  return (one) => {
    const model = index.answerers[one.answerer];
    const benchmark = index.benchmarks[one.benchmark];
    const seeds = Object.entries(filters).filter(([name, value]) => name.startsWith("seed:") && value);
    return matches("base_model", model.base_model) && matches("mixture", model.mixture) && matches("stage", model.stage)
      && matches("variant", model.variant_key) && matches("generation_seed", one.seed)
      && matches("benchmark", benchmark.name) && matches("language", benchmark.language)
      && seeds.every(([name, value]) => String(model.seeds[name.slice(5)]) === value);
  };
}

// Rows are numbers: the first row of their set plus their place in it. `finds` looks up another model's row.
function filterRows(table, filters, findOther) {
  const { index } = table;
  const passes = testSet(index, filters);
  const least = filters.least === "" ? -Infinity : Number(filters.least);
  const most = filters.most === "" ? Infinity : Number(filters.most);
  const bounded = least > -Infinity || most < Infinity;
  const rows = [];
  index.sets.forEach((one, at) => {
    if (!one.question || !passes(one)) return;
    const { categories } = index.benchmarks[one.benchmark];
    for (let row = 0; row < one.question.length; row += 1) {
      const score = one.score[row];
      if (filters.category && (categories[one.question[row]] || "none") !== filters.category) continue;
      if (bounded && (score === null || score < least || score > most)) continue;
      if (filters.parsed && one.parsed[row] !== filters.parsed) continue;
      const number = table.starts[at] + row;
      if (filters.compare !== "") {
        const other = findOther(number, Number(filters.compare));
        if (other < 0 || other === number || !isDifferent(score, table.scoreOf(other), filters.difference)) continue;
      }
      rows.push(number);
    }
  });
  return sortRows(table, rows, filters.order);
}

function isDifferent(score, other, asked) {
  if (!asked) return true;
  if (score === null || other === null) return false;
  return asked === "differ" ? score !== other : asked === "better" ? score > other : score < other;
}

function sortRows(table, rows, order) {
  if (order === "model") return rows;
  if (order === "question") {
    const place = (row) => { const one = table.setOf(row); return one.benchmark * 1e7 + one.question[table.placeOf(row)]; };
    const places = new Map(rows.map((row) => [row, place(row)]));
    return rows.sort((one, other) => places.get(one) - places.get(other) || one - other);
  }
  const sign = order === "low" ? 1 : -1;
  const scores = new Map(rows.map((row) => [row, table.scoreOf(row)]));
  return rows.sort((one, other) => {
    const [a, b] = [scores.get(one), scores.get(other)];
    if (a === b) return one - other;
    return a === null ? 1 : b === null ? -1 : sign * (a - b);
  });
}
