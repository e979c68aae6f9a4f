// Elements made from texts alone (no text is ever read as HTML), colours, printing, folded parts.

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const byId = (id) => document.getElementById(id);
const STAGE_NAMES = { before_sft: "before SFT", after_sft: "after SFT", served: "served" };
const nameStage = (stage) => STAGE_NAMES[stage] || stage;
const nameSeed = (name) => name.replace(/_/g, " ");
const spaced = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

const THEMES = ["system", "light", "dark"];

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").querySelector("span").textContent = theme;
}

// A browser may keep no notes for a page that was opened as a file: then the choice lasts as long as the page.
function readNote(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function writeNote(name, value) {
  try { localStorage.setItem(name, value); } catch { /* kept on this page alone */ }
}

let theme = THEMES.includes(readNote("mixlab-theme")) ? readNote("mixlab-theme") : "system";
applyTheme(theme);
byId("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  writeNote("mixlab-theme", theme);
  applyTheme(theme);
});
byId("print").addEventListener("click", () => window.print());

function readHash() {
  // a lone % is no address
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}

function unfold() {
  const target = byId(readHash());
  const fold = target && target.closest("details");
  if (fold) {
    fold.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", unfold);

// What is folded would be missing on paper.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...unfolded, ...document.querySelectorAll("main details:not([open])")];
  unfolded.forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => {
  unfolded.forEach((fold) => { fold.open = false; });
  unfolded = [];
});
unfold();

const links = new Map([...document.querySelectorAll("nav.contents a")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) links.get(entry.target.id)?.classList.toggle("here", entry.isIntersecting);
}, { rootMargin: "-10% 0px -70% 0px" });
document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
