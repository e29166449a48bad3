// The controls of the table: filters, the chips that show them, and pages.

const SHOWN = 200; // values of a facet that are listed at once; typing finds the others

/** Tick or untick a value of a facet. */
function tick(table, name, code, ticked) {
  const now = new Set(table.chosen.get(name));
  if (ticked) now.add(code);
  else now.delete(code);
  table.set({ chosen: new Map(table.chosen).set(name, now) });
}

/** The list of a facet: the values that contain some words, each with its number of rows and a box to tick. */
function facetOptions(table, name, order, words) {
  const counts = table.counts(name);
  const chosen = table.chosen.get(name) ?? new Set();
  const values = data.texts[name].words;
  const fit = order.filter((code) => chosen.has(code) || (counts[code] && values[code].toLowerCase().includes(words)));
  const option = (code) => element("label", {},
    element("input", {
      type: "checkbox", checked: chosen.has(code), value: values[code],
      onchange: ({ target }) => tick(table, name, code, target.checked),
    }),
    element("span", {}, values[code] || NOTHING),
    element("span", { class: "count" }, counts[code].toLocaleString("en")));
  const more = fit.length > SHOWN ? element("p", {}, `and ${(fit.length - SHOWN).toLocaleString("en")} more: type to find`) : null;
  return [...fit.slice(0, SHOWN).map(option), ...(more ? [more] : [])];
}

/** One filter: a button that opens a list of values to tick. */
function facet(table, name) {
  const { words } = data.texts[name];
  const title = element("summary", {}, name);
  const find = element("input", { type: "search", class: "find", placeholder: "Find", "aria-label": `Find a value of ${name}`, hidden: words.length <= 20 });
  const options = element("fieldset", {}, element("legend", { class: "unseen" }, `Show only these values of ${name}`));
  const box = element("details", { class: "facet", "data-facet": name }, title, element("div", {}, find, options));
  let order = null;
  const fill = () => {
    order ??= words.map((_, code) => code).sort((a, b) => collator.compare(words[a], words[b]));
    options.replaceChildren(options.firstElementChild, ...facetOptions(table, name, order, find.value.trim().toLowerCase()));
  };
  const leave = ({ target }) => box.contains(target) || target.contains(box) || (box.open = false);
  find.addEventListener("input", fill);
  box.addEventListener("toggle", () => box.open && fill());
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    box.open = false;
    title.focus();
  });
  document.addEventListener("pointerdown", leave);
  document.addEventListener("focusin", leave);
  table.listeners.push(() => {
    const count = table.chosen.get(name)?.size ?? 0;
    title.textContent = count ? `${name}: ${count} of ${words.length}` : name;
    box.classList.toggle("active", count > 0);
  });
  return box;
}

/** The filters in force, each as words and the changes that would undo it. */
function inForce(table) {
  const found = [];
  if (table.picked) found.push([table.picked.words, { picked: null }]);
  if (table.query.trim()) found.push([`search: ${table.query.trim()}`, { query: "" }]);
  for (const [name, chosen] of table.chosen) {
    for (const code of chosen) {
      const rest = new Set(chosen);
      rest.delete(code);
      found.push([`${name}: ${data.texts[name].words[code] || NOTHING}`, { chosen: new Map(table.chosen).set(name, rest) }]);
    }
  }
  return found;
}

function drawChips(table, place) {
  const chips = inForce(table);
  const chip = (label, changes) => element("li", {}, element("button", {
    type: "button", class: "chip", "aria-label": `Remove filter ${label}`, onclick: () => clear(table, changes),
  }, label));
  place.replaceChildren(...chips.map(([label, changes]) => chip(label, changes)));
  if (chips.length > 1) {
    const all = { picked: null, query: "", chosen: new Map() };
    place.append(element("li", {}, element("button", { type: "button", class: "clear", onclick: () => clear(table, all) }, "Clear all")));
  }
}

/** Undo filters. The focus goes to the table's box, because the button that had it is gone. */
function clear(table, changes) {
  const from = "picked" in changes ? table.picked?.key : null;
  table.set(changes);
  if (from) unselect(from);
  if ("query" in changes) document.getElementById("search").value = "";
  document.querySelector(".results .box").focus({ preventScroll: true });
}

/** Draw a bar at the foot of the window while rows are chosen in a chart, because the table may be far away. */
function drawPicked(table, bar) {
  bar.hidden = !table.picked;
  if (!table.picked) return bar.replaceChildren();
  const { rows, words } = table.picked;
  const many = rows.length === 1 ? "1 result" : `${rows.length.toLocaleString("en")} results`;
  bar.replaceChildren(
    element("span", { role: "status" }, `The table shows ${many}: ${words}.`),
    element("a", { href: "#results" }, "See the table"),
    element("button", { type: "button", onclick: () => clear(table, { picked: null }) }, "Show all again"),
  );
}

function drawPages(table, place) {
  place.hidden = table.found.length <= 25;
  document.getElementById("page").textContent = `Page ${(table.page + 1).toLocaleString("en")} of ${table.pages.toLocaleString("en")}`;
  const [first, last] = [table.page === 0, table.page === table.pages - 1];
  for (const button of place.querySelectorAll("[data-go]")) {
    button.disabled = ["first", "back"].includes(button.dataset.go) ? first : last;
  }
}
