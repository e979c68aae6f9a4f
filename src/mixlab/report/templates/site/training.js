// Loss curves: one chart for each kind of training, a line for each run.

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];
const PURPOSES = { pretrain: "Pretraining", ipt: "Instruction pre-training", sft: "Supervised fine-tuning" };
const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
}

function findTicks(low, high) {
  const raw = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) ticks.push(Number(at.toPrecision(6)));
  return ticks;
}

function drawChart(purpose, runs) {
  const drawn = runs.filter((run) => run.points && run.points.length);
  const losses = drawn.flatMap((run) => run.points.map(([, loss]) => loss));
  const last = Math.max(1, ...drawn.map((run) => run.steps));
  const low = losses.reduce((one, other) => Math.min(one, other));
  const high = losses.reduce((one, other) => Math.max(one, other), low + 1e-6);
  const [left, right, top, bottom] = [44, 492, 8, 218];
  const x = (step) => left + (step / last) * (right - left);
  const y = (loss) => bottom - ((loss - low) / (high - low)) * (bottom - top);
  const svg = draw("svg", { viewBox: "0 0 500 250", role: "img", "aria-label": `${PURPOSES[purpose] || purpose}: loss by step` });
  for (const tick of findTicks(low, high)) {
    svg.append(draw("line", { class: "axis", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
      draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  for (const tick of findTicks(0, last).filter((one) => one === Math.round(one))) {
    svg.append(draw("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle" }, spaced(tick)));
  }
  svg.append(draw("text", { x: right, y: bottom + 31, "text-anchor": "end" }, "step"));
  const chart = el("div", { class: "chart" }, el("h3", {}, PURPOSES[purpose] || purpose), svg);
  const legend = el("ul");
  drawn.forEach((run, at) => {
    const colour = PALETTE[at % PALETTE.length];
    const path = run.points.map(([step, loss], place) => `${place ? "L" : "M"}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join("");
    const line = draw("path", { d: path, stroke: colour });
    svg.append(line);
    const light = (on) => () => { chart.classList.toggle("lit", on); line.classList.toggle("on", on); };
    const swatch = el("i", { style: `border-color:${colour}` });
    const said = `${run.last.toFixed(3)} after ${spaced(run.steps)} steps, ${spaced(run.tokens)} tokens`;
    legend.append(el("li", { tabindex: "0", onmouseenter: light(true), onmouseleave: light(false), onfocus: light(true), onblur: light(false) },
      swatch, el("span", { title: run.label }, run.label), el("span", { class: "muted" }, said)));
  });
  chart.append(legend);
  const most = Math.max(...drawn.map((run) => run.every));
  if (most > 1) chart.append(el("p", { class: "note" }, `A point is the mean of up to ${most} steps.`));
  return chart;
}

async function drawCurves() {
  const runs = await load("training");
  const parts = [];
  const charts = el("div", { class: "curves" });
  for (const purpose of Object.keys(PURPOSES)) {
    const some = runs.filter((run) => run.purpose === purpose);
    if (some.some((run) => run.points && run.points.length)) charts.append(drawChart(purpose, some));
  }
  if (charts.children.length) parts.push(charts);
  const silent = runs.filter((run) => run.points && !run.points.length);
  if (silent.length) {
    parts.push(el("p", {}, `${silent.length} of ${runs.length} training logs hold no loss:`),
      el("ul", {}, ...silent.map((run) => el("li", {}, run.label || run.key))));
  }
  const missing = runs.filter((run) => run.missing);
  if (!runs.length) parts.push(el("p", {}, "No model of this study was trained here."));
  if (missing.length) {
    parts.push(el("p", {}, `${missing.length} of ${runs.length} training logs are not here:`),
      el("ul", {}, ...missing.map((run) => el("li", {}, `${run.label || run.key}: ${run.missing}`))));
  }
  byId("curves").replaceChildren(...parts);
}

drawCurves().catch((error) => byId("curves").replaceChildren(el("p", { class: "caution" }, error.message)));
