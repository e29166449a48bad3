// The table: it finds the rows that pass the filters, sorts them, and draws one page of them.

const PRINTED = 1000; // rows that are printed on paper: some 25 pages

class Table {
  constructor() {
    this.clock = 0;
    this.query = "";
    this.chosen = new Map(); // from the name of a facet to the set of codes that pass its filter
    this.picked = null; // {key, rows, words}: the selection in a chart
    this.sort = null; // {column, down}
    this.page = 0;
    this.size = 50;
    this.found = [];
    this.haystack = null;
    this.listeners = [];
    this.open = new Set();
  }

  /** Change some properties, and find the rows again. */
  set(changes) {
    Object.assign(this, changes);
    if (!("page" in changes)) this.page = 0;
    this.found = this.sorted(this.filtered());
    this.page = Math.max(0, Math.min(this.page, this.pages - 1));
    for (const listener of this.listeners) listener(this);
  }

  get pages() {
    return Math.max(1, Math.ceil(this.found.length / this.size));
  }

  get columns() {
    return COLUMNS.filter((column) => column.shown());
  }

  get total() {
    return data.clock.reduce((count, clock) => count + (clock === this.clock), 0);
  }

  /** The rows that pass the filters. The facet `except` does not filter: its own counts are wanted. */
  filtered(except = null) {
    const masks = [...this.chosen].filter(([name, chosen]) => name !== except && chosen.size)
      .map(([name, chosen]) => [data.texts[name].codes, data.texts[name].words.map((_, code) => chosen.has(code))]);
    const terms = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    const lines = terms.length ? this.lines() : null;
    const rows = this.picked ? this.picked.rows : data.clock.keys();
    const found = [];
    for (const row of rows) {
      if (data.clock[row] === this.clock && masks.every(([of, mask]) => mask[of[row]])
        && terms.every((term) => lines[row].includes(term))) found.push(row);
    }
    return found;
  }

  /** The searchable text of every row, in lower case. It is made at the first search. */
  lines() {
    const names = ["layer", "problem", "algorithm", "family", "direction", "dtype", "precision", "outcome", "reason",
      "workload", "device", "config", "commit"];
    const lower = names.map((name) => [data.texts[name].codes, data.texts[name].words.map((word) => word.toLowerCase())]);
    this.haystack ??= Array.from({ length: data.rows }, (_, row) => lower.map(([codes, words]) => words[codes[row]]).join("\n"));
    return this.haystack;
  }

  /** Rows in the chosen order. Rows without a value come last in both directions, and equal rows keep their order. */
  sorted(rows) {
    if (!this.sort) return rows;
    const { column, down } = this.sort;
    const sign = down ? -1 : 1;
    const keys = new Float64Array(data.rows);
    for (const row of rows) {
      const key = column.sortBy(row);
      keys[row] = Number.isNaN(key) ? Infinity : sign * key;
    }
    return rows.sort((i, j) => (keys[i] < keys[j] ? -1 : keys[i] > keys[j] ? 1 : i - j));
  }

  /** For each code of a facet, the number of rows that it would have with the other filters as they are. */
  counts(name) {
    const { codes, words } = data.texts[name];
    const counts = new Uint32Array(words.length);
    for (const row of this.filtered(name)) counts[codes[row]] += 1;
    return counts;
  }
}

const classOf = ({ kind, key, extra }) => `${kind === "text" ? key : kind}${extra ? " extra" : ""}`;

/** The cells of one row. */
function cells(row, columns, opener) {
  return columns.map((column) => {
    const value = column.write(row);
    if (column.kind === "head") return element("th", { scope: "row" }, opener(row, value));
    const cell = element("td", { class: classOf(column) });
    if (column.kind === "outcome") {
      cell.append(element("span", { class: `mark ${value}` }, value.replaceAll("_", " ")));
      const reason = text("reason", row);
      if (reason) cell.append(element("span", { class: "reason", title: reason }, reason));
    } else cell.append(value === "" ? NOTHING : value);
    if (column.kind === "bar" && numbers.of_best[row] > 0) {
      cell.style.setProperty("--share", numbers.of_best[row]);
      if (numbers.of_best[row] === 1) cell.classList.add("best");
    }
    return cell;
  });
}

/** Draw the heads of the columns. Their units depend on the clock. */
function drawHeads(table, head) {
  const clock = data.clocks[table.clock];
  head.replaceChildren(element("tr", {}, ...table.columns.map((column) => {
    const unit = column.unit?.(clock) ?? "";
    const sorted = table.sort?.column.key === column.key;
    const button = element("button", {
      type: "button", title: column.about, "data-sort": column.key,
      onclick: () => table.set({ sort: !sorted ? { column, down: column.kind === "bar" } : { column, down: !table.sort.down } }),
    }, element("span", { class: "name" }, column.head), unit ? element("span", { class: "unit" }, unit) : null);
    return element("th", {
      scope: "col", class: classOf(column),
      "aria-sort": sorted ? (table.sort.down ? "descending" : "ascending") : "none",
    }, button);
  })));
}

/** Draw rows, each with a button that opens the details below it. */
function drawRows(table, body, rows) {
  const { columns } = table;
  const opener = (row, value) => element("button", {
    type: "button", class: "opener", "aria-expanded": String(table.open.has(row)), "data-row": row,
  }, value === "" ? NOTHING : value);
  const drawn = [];
  for (const row of rows) {
    drawn.push(element("tr", { "data-row": row, class: text("outcome", row) }, ...cells(row, columns, opener)));
    if (table.open.has(row)) drawn.push(detailsOf(row, columns.length));
  }
  body.replaceChildren(...drawn);
}

/** Open or close the details of a row of the table. */
function toggle(table, line) {
  const row = Number(line.dataset.row);
  const opens = !table.open.has(row);
  if (opens) table.open.add(row);
  else table.open.delete(row);
  line.querySelector(".opener").setAttribute("aria-expanded", String(opens));
  if (opens) line.after(detailsOf(row, line.children.length));
  else line.nextElementSibling.remove();
}
