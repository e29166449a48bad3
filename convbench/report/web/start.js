// Start the page: connect the table, the controls and the charts.

/** Start the choice of the theme: light, dark, or the system's. It is stored if the browser lets a page from disk. */
function startThemes() {
  const group = document.querySelector(".themes");
  const apply = (theme) => {
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", theme);
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.theme === theme));
  };
  const remembered = () => {
    try {
      return localStorage.getItem("convbench-theme");
    } catch {
      return null; // storage is forbidden: nothing is remembered
    }
  };
  for (const button of group.children) {
    button.addEventListener("click", () => {
      apply(button.dataset.theme);
      try {
        localStorage.setItem("convbench-theme", button.dataset.theme);
      } catch {
        // as above
      }
    });
  }
  const theme = remembered();
  if (theme === "light" || theme === "dark") apply(theme);
  group.hidden = false;
}

function startTable(table) {
  const part = (selector) => document.querySelector(selector);
  const [head, body, box] = [part("#table thead"), part("#table tbody"), part(".results .box")];
  let printing = false;

  const rows = () => (printing ? table.found.slice(0, PRINTED)
    : table.found.slice(table.page * table.size, (table.page + 1) * table.size));
  const drawBody = () => {
    if (printing) table.open.clear();
    drawRows(table, body, rows());
    const left = table.found.length - PRINTED;
    part("#printed").textContent = printing && left > 0 ? `The first ${PRINTED} of ${table.found.length} rows are printed.` : "";
  };
  table.listeners.push(() => {
    const focused = document.activeElement?.dataset?.sort;
    drawHeads(table, head);
    if (focused) head.querySelector(`[data-sort="${focused}"]`)?.focus();
    drawBody();
    part("#count").textContent = `${table.found.length.toLocaleString("en")} of ${table.total.toLocaleString("en")} rows`;
    drawChips(table, part(".chips"));
    drawPages(table, part(".pages"));
    drawPicked(table, part("#picked"));
  });

  body.addEventListener("click", ({ target }) => {
    const line = target.closest("tr[data-row]");
    if (line && (target.closest(".opener") || !getSelection().toString())) toggle(table, line);
  });
  part(".pages").addEventListener("click", ({ target }) => {
    const steps = { first: 0, back: table.page - 1, on: table.page + 1, last: table.pages - 1 };
    if (!(target.dataset.go in steps)) return;
    table.set({ page: steps[target.dataset.go] });
    box.scrollTop = 0;
  });
  part("#size").addEventListener("change", ({ target }) => table.set({ size: Number(target.value) }));
  let waiting = 0;
  part("#search").addEventListener("input", ({ target }) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => table.set({ query: target.value }), 120);
  });
  part(".facets").append(...FACETS.map((name) => facet(table, name)));
  const paper = matchMedia("print");
  paper.addEventListener("change", () => {
    printing = paper.matches;
    drawBody();
  });
  part(".controls").hidden = false;
}

/** Start the choice of the clock. Times of two clocks never share a table: it only has the rows of the chosen clock. */
function startClock(table) {
  const choice = document.getElementById("clock");
  data.clocks.forEach(({ clock }, place) => choice.append(element("option", { value: place }, clock)));
  choice.addEventListener("change", () => table.set({ clock: Number(choice.value) }));
  choice.parentElement.hidden = data.clocks.length < 2;
  table.listeners.push(() => (choice.value = String(table.clock)));
}

/** Write the texts that all rows have in common above the table. */
function tellSame() {
  const same = COLUMNS.filter(({ key, shown }) => key in data.texts && !shown())
    .map(({ head, write }) => [head.toLowerCase(), write(0)])
    .filter(([, value]) => value && value !== "{}");
  const said = same.flatMap(([name, value], place) => [place ? " · " : "", `${name} `, element("b", {}, value)]);
  if (said.length) document.getElementById("same").append("In every row: ", ...said);
}

function start() {
  startThemes();
  if (!data.rows) return;
  const table = new Table();
  startClock(table);
  startTable(table);
  tellSame();
  table.set({});
  drawAll((key, chosen) => {
    const before = table.picked?.key;
    if (!chosen) {
      if (before === key) table.set({ picked: null });
      return;
    }
    if (before && before !== key) unselect(before);
    const title = document.querySelector(`#${CSS.escape(key)} h3`).textContent;
    const picked = { key, rows: chosen.rows, words: `${chosen.words ? `${chosen.words}, ` : ""}chosen in “${title}”` };
    table.set({ picked, clock: data.clock[chosen.rows[0]] });
  });
}

start();
