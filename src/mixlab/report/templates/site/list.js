// A list of any length of which only the rows in view are in the document.

const ROW_HEIGHT = 54;
const MOST_PIXELS = 1.5e7;
const MARGIN_ROWS = 6;

class RowList {
  constructor(root, spacer, fill, choose) {
    Object.assign(this, { root, spacer, fill, choose, rows: [], at: -1, drawn: new Map() });
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    root.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.draw()).observe(root);
  }

  // Pixels of the list for each pixel of the scroll bar: browsers bound how tall an element may be.
  get scale() {
    const tall = this.rows.length * ROW_HEIGHT;
    const room = this.root.clientHeight;
    return tall <= MOST_PIXELS ? 1 : (tall - room) / (MOST_PIXELS - room);
  }

  set(rows, keep) {
    this.rows = rows;
    this.spacer.style.height = `${Math.min(rows.length * ROW_HEIGHT, MOST_PIXELS)}px`;
    this.at = keep;
    this.clear();
    if (keep >= 0) this.reveal(keep);
    else this.root.scrollTop = 0;
    this.draw();
  }

  clear() {
    this.drawn.forEach((row) => row.remove());
    this.drawn.clear();
  }

  draw() {
    const top = this.root.scrollTop * this.scale;
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - MARGIN_ROWS);
    const last = Math.min(this.rows.length, Math.ceil((top + this.root.clientHeight) / ROW_HEIGHT) + MARGIN_ROWS);
    for (const [at, row] of this.drawn) {
      if (at < first || at >= last) {
        row.remove();
        this.drawn.delete(at);
      }
    }
    for (let at = first; at < last; at += 1) {
      let row = this.drawn.get(at);
      if (!row) {
        row = el("div", { class: "row", role: "option", id: `row-${at}`, "aria-posinset": at + 1, "aria-setsize": this.rows.length });
        row.addEventListener("click", () => this.select(at));
        this.drawn.set(at, row);
        this.spacer.append(row);
        this.fill(row, this.rows[at]);
      }
      row.style.top = `${at * ROW_HEIGHT - top + this.root.scrollTop}px`;
      row.setAttribute("aria-selected", String(at === this.at));
    }
    if (this.at >= 0) this.root.setAttribute("aria-activedescendant", `row-${this.at}`);
    else this.root.removeAttribute("aria-activedescendant");
  }

  reveal(at) {
    const top = this.root.scrollTop * this.scale;
    const low = at * ROW_HEIGHT;
    if (low < top) this.root.scrollTop = low / this.scale;
    else if (low + ROW_HEIGHT > top + this.root.clientHeight) {
      this.root.scrollTop = (low + ROW_HEIGHT - this.root.clientHeight) / this.scale;
    }
  }

  select(at) {
    if (!this.rows.length) return;
    this.at = Math.max(0, Math.min(this.rows.length - 1, at));
    this.reveal(this.at);
    this.draw();
    this.choose(this.rows[this.at]);
  }

  press(event) {
    const page = Math.max(1, Math.floor(this.root.clientHeight / ROW_HEIGHT) - 1);
    const moves = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page,
      Home: 0, End: this.rows.length - 1 };
    if (event.key in moves) {
      event.preventDefault();
      this.select(moves[event.key]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.at < 0) this.select(0);
      byId("detail").focus();
    }
  }
}
