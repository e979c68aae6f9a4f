// From a number to what made it: seeds, checkpoint, mixture, sources, each with its key and digest.

const KEYS_OF = [
  ["model_key", "checkpoint"], ["mixture_key", "mixture"], ["base_model_key", "base model"], ["generate_key", "answers"],
  ["score_key", "scored as"],
];
const SEEDS_OF = ["mixture_seed", "ipt_seed", "sft_seed", "generation_seed", "judge_run"];
const keyOf = (reference) => reference.split(":")[0];

function openDialog(title, ...content) {
  byId("origin-title").textContent = title;
  byId("origin-body").replaceChildren(...content);
  const dialog = byId("origin");
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

byId("origin-close").addEventListener("click", () => byId("origin").close());
byId("origin").addEventListener("click", (event) => {
  if (event.target === byId("origin")) byId("origin").close();
});

// Parents that give no text to a model: questions, what records were compared with, who learned tokens or labels.
const BESIDE = new Set(["contamination", "benchmarks", "against", "items", "tokenizer", "labels"]);

function listSources(nodes, references, follows = () => true) {
  const found = new Set();
  const waiting = references.filter(Boolean).map(keyOf);
  while (waiting.length) {
    const key = waiting.pop();
    if (!nodes[key] || found.has(key)) continue;
    found.add(key);
    waiting.push(...nodes[key].parents.filter(([role]) => follows(role)).map(([, parent]) => keyOf(parent)));
  }
  return [...found].filter((key) => nodes[key].stage === "source").sort();
}

// An artifact as a part that unfolds into what it was made from; what is below is made when it is first opened.
function showNode(nodes, role, reference, open = false) {
  const node = nodes[keyOf(reference)];
  if (!node) return el("li", {}, el("span", { class: "role" }, `${role}: `), el("span", { class: "key" }, reference));
  const state = node.state && node.state !== "complete" ? el("span", { class: `state ${node.state}` }, node.state) : null;
  const title = [
    el("span", { class: "role" }, `${role}: `), `${node.stage} `, el("span", { class: "key" }, reference), " ",
    node.label ? el("span", { class: "role" }, `${node.label} `) : null, state,
  ];
  const fold = el("details", {}, el("summary", {}, ...title.filter(Boolean)));
  const fill = () => {
    if (fold.children.length > 1) return;
    const facts = [];
    if (node.digest) facts.push(["digest", node.digest]);
    facts.push(...(node.facts || []).map(([name, value]) => [name === "digest" ? "file digest" : name, value]));
    facts.push(...(node.made || []).map((line) => ["made", line]));
    for (const [name, value] of facts) {
      fold.append(el("p", { class: "facts" }, `${name} `, el("span", { class: "key" }, value)));
    }
    if (node.parents.length) fold.append(el("ul", {}, ...node.parents.map(([at, parent]) => showNode(nodes, at, parent))));
  };
  fold.addEventListener("toggle", fill);
  if (open) {
    fill();
    fold.open = true;
  }
  return el("li", {}, fold);
}

function showSources(nodes, keys) {
  const rows = keys.map((key) => {
    const node = nodes[key];
    const digests = (node.facts || []).filter(([name]) => name === "digest").map(([, value]) => value);
    const told = digests.length ? digests : [node.digest ? `artifact ${node.digest}` : "digest not known here"];
    return el("tr", {},
      el("td", {}, node.label || ""), el("td", { class: "key" }, key),
      el("td", { class: "key" }, ...told.flatMap((one, at) => (at ? [el("br"), one] : [one]))),
      el("td", {}, node.state && node.state !== "complete" ? node.state : "here"));
  });
  const head = ["Source", "Key", "Digest of its data (sha256)", "State"].map((one) => el("th", { scope: "col" }, one));
  return el("div", { class: "wide" },
    el("table", { class: "sources" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}

// What a model or a mixture draws its texts from, apart from what only stands beside that.
function showOrigins(nodes, references) {
  const drawn = listSources(nodes, references, (role) => !BESIDE.has(role));
  const beside = listSources(nodes, references).filter((key) => !drawn.includes(key));
  const none = el("p", { class: "muted" }, "No source is known: the model is served, or its ancestry is not.");
  const parts = [el("h3", {}, "Sources it is drawn from"), drawn.length ? showSources(nodes, drawn) : none];
  if (beside.length) {
    parts.push(el("h3", {}, "Sources beside it: asked, compared with, or read by its tokenizer alone"), showSources(nodes, beside));
  }
  return parts;
}

function showMade(nodes, made, open) {
  const seeds = SEEDS_OF.filter((name) => name in made).map((name) => `${nameSeed(name)} ${made[name]}`).join(" · ");
  const chain = KEYS_OF.filter(([name]) => made[name]).map(([name, role]) => showNode(nodes, role, made[name]));
  return el("details", { open }, el("summary", {}, seeds || "one model"), el("ul", { class: "tree" }, ...chain));
}

async function openCells(cells, labels = {}) {
  const { cells: known, nodes } = await load("lineage");
  const parts = [];
  for (const cell of cells) {
    if (!cell.includes("|")) {
      parts.push(...showArtifact(nodes, cell));
      continue;
    }
    const [variantKey, stage, benchmark, measure] = cell.split("|");
    const made = known[cell] || [];
    const name = labels[variantKey] || variantNames.get(variantKey) || variantKey;
    const heading = el("h3", {}, `${name}, ${nameStage(stage)}: ${benchmark}, ${measure.replace("_", " ")}`);
    const count = `${made.length} ${made.length === 1 ? "set of scores" : "sets of scores"}`;
    const show = el("button", { type: "button", onclick: () => {
      byId("origin").close();
      showAnswers({ variant: variantKey, stage, benchmark });
    } }, "Show these answers");
    parts.push(heading, el("p", { class: "bar" }, count, show));
    parts.push(...made.map((one, at) => showMade(nodes, one, at === 0 && cells.length === 1)));
    parts.push(...showOrigins(nodes, made.flatMap((one) => KEYS_OF.map(([at]) => one[at]))));
  }
  const title = cells.length === 1 ? "Where this number comes from" : `Where this number comes from: ${cells.length} parts`;
  openDialog(title, ...(parts.length ? parts : [el("p", {}, "Nothing was scored.")]));
}

function showArtifact(nodes, key) {
  return [
    el("h3", {}, `Artifact ${key}`), el("ul", { class: "tree" }, showNode(nodes, "this", key, true)),
    ...showOrigins(nodes, [key]),
  ];
}

async function openKey(key) {
  const { nodes } = await load("lineage");
  openDialog("What an artifact was made from", ...showArtifact(nodes, key));
}

async function openVariant(anchor) {
  const { cells } = await load("lineage");
  const found = Object.keys(cells).filter((cell) => cell.split("|")[0].replace(/[^A-Za-z0-9]+/g, "-") === anchor);
  await openCells(found);
}

function reportFailure(error) {
  openDialog("This cannot be shown", el("p", {}, error.message));
}

document.addEventListener("click", (event) => {
  const number = event.target.closest("[data-of]");
  const link = event.target.closest("a[href^='#lineage-'], a[href^='#key-']");
  if (number) openCells(number.dataset.of.split(";")).catch(reportFailure);
  if (!link) return;
  event.preventDefault();
  const [, kind, rest] = link.getAttribute("href").match(/^#(lineage|key)-(.*)$/);
  (kind === "key" ? openKey(rest) : openVariant(rest)).catch(reportFailure);
});

byId("lookup").addEventListener("submit", async (event) => {
  event.preventDefault();
  const output = event.target.querySelector("output");
  const word = event.target.elements.key.value.trim();
  if (word.length < 4) {
    output.textContent = "Write at least the first 4 digits of a key.";
    return;
  }
  try {
    const { nodes } = await load("lineage");
    const found = Object.keys(nodes).filter((key) => key.startsWith(keyOf(word)));
    output.textContent = found.length === 1 ? "" : `${found.length} artifacts begin with “${word}”; write ${found.length ? "more" : "another key"}.`;
    if (found.length === 1) await openKey(found[0]);
  } catch (error) {
    reportFailure(error);
  }
});
