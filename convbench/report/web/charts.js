// The charts. Vega-Lite draws each as SVG when it is scrolled near. Colours are variables of the page, so that a change
// of the theme, or printing, needs no new drawing.

const INK = { text: "var(--ink)", muted: "var(--muted)", rule: "var(--rule)" };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';
const titled = { titleColor: INK.muted, labelColor: INK.muted, titleFontWeight: 500, labelFontSize: 11, titleFontSize: 11 };
const CONFIG = {
  aria: false, // a chart is one image whose text is its reading; the table has everything else
  background: "transparent",
  font: FONT,
  mark: { tooltip: { content: "data" }, color: "var(--accent)" },
  axis: { ...titled, domainColor: INK.rule, gridColor: INK.rule, tickColor: INK.rule },
  legend: titled,
  header: { ...titled, labelColor: INK.text },
  title: { color: INK.text, subtitleColor: INK.muted, fontSize: 12, anchor: "start" },
  text: { color: INK.text },
  rule: { color: INK.muted },
  view: { stroke: "var(--rule)" },
};

const views = new Map(); // the key of a figure to its view

/** The row of the table that a mark shows; undefined if it shows many rows, or none. */
const rowOf = (datum) => (Number.isInteger(datum?.row) && datum.row >= 0 && datum.row < data.rows ? datum.row : undefined);

/** For a mark that shows many results: their rows, and the words that they share, such as the algorithm. Else null. */
function sharedBy(datum, chapter) {
  const words = ["algorithm", "layer", "family", "outcome"].filter((name) => data.texts[name].words.includes(datum?.[name]));
  if (!words.length) return null;
  const same = [["chapter", chapter], ...words.map((name) => [name, datum[name]])]
    .map(([name, word]) => [data.texts[name].codes, data.texts[name].words.indexOf(word)]);
  const rows = Array.from(data.clock.keys()).filter((row) => same.every(([codes, code]) => codes[row] === code));
  return { rows, words: words.map((name) => datum[name]).join(", ") };
}

/** The tooltip of a mark: everything about its record, or the chart's own values if it shows many. */
function tipOf(datum, value) {
  const row = rowOf(datum);
  if (row === undefined) {
    return typeof value === "object" ? [list(Object.entries(value).map(([name, told]) => [name, String(told)]))] : [String(value)];
  }
  const parts = phases(row).map(([name, us]) => `${name} ${duration(us)}`).join(", ");
  return [
    element("p", { class: "what" }, element("b", {}, text("algorithm", row)), ` · ${text("layer", row)}`),
    element("p", { class: "problem" }, text("problem", row)),
    list([...figuresOf(row), ...(parts ? [["phases", parts]] : [])]),
    element("p", { class: "again" }, command(row)),
  ];
}

/** Vega's hook for tooltips. */
function tooltip(_, event, item, value) {
  const tip = document.getElementById("tip");
  const parts = value === null || value === undefined || value === "" ? [] : tipOf(item.datum, value);
  tip.hidden = !parts.length;
  if (tip.hidden) return;
  tip.replaceChildren(...parts);
  const [gap, { width, height }] = [14, tip.getBoundingClientRect()];
  const within = (place, length, room) => Math.max(4, place + gap + length > room ? place - gap - length : place + gap);
  tip.style.left = `${Math.min(within(event.clientX, width, innerWidth), Math.max(4, innerWidth - width - 4))}px`;
  tip.style.top = `${Math.min(within(event.clientY, height, innerHeight), Math.max(4, innerHeight - height - 4))}px`;
}

/** Whether a figure has the selection `pick`, which selects marks by their rows. */
const selects = (figure) => (specifications[figure].chart.params ?? []).some(({ name }) => name === "pick");

/** Draw a figure. Call `choose` with each selection in it: rows, and the words that they share; null if it is empty. */
async function draw(place, choose) {
  const { figure } = place.dataset;
  if (views.has(figure)) return;
  views.set(figure, null);
  const { view } = await vegaEmbed(place, specifications[figure].chart, {
    actions: false, ast: true, config: CONFIG, defaultStyle: false, mode: "vega-lite", renderer: "svg", tooltip,
  });
  views.set(figure, view);
  place.querySelector("svg").setAttribute("aria-hidden", "true"); // the element around it is the image, with its text
  place.classList.add("drawn");
  if (selects(figure)) {
    view.addSignalListener("pick", (_, value) => {
      const rows = (value?.row ?? []).filter((row) => rowOf({ row }) !== undefined);
      if (rows.length || !value?.row) choose(figure, rows.length ? { rows, words: "" } : null);
    });
  }
  view.addEventListener("click", async (_, item) => {
    const shared = rowOf(item?.datum) === undefined ? sharedBy(item?.datum, specifications[figure].chapter) : null;
    if (shared) await unselect(figure);
    if (shared || !selects(figure)) choose(figure, shared);
  });
  const box = place.parentElement;
  if (box.scrollWidth > box.clientWidth + 1) box.parentElement.classList.add("broad"); // its text goes above it
  fit(box);
}

/** Let the keyboard scroll a chart that is wider than its box. */
function fit(box) {
  if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  else box.removeAttribute("tabindex");
}

/** Clear the selection in a figure. */
async function unselect(figure) {
  const view = views.get(figure);
  if (view && selects(figure)) await view.data("pick_store", []).runAsync();
}

/** Draw each figure when it is scrolled near, and the others when the browser is idle. */
function drawAll(choose) {
  const places = [...document.querySelectorAll("[data-figure]")];
  const start = (place) => draw(place, choose).catch((error) => {
    place.replaceChildren(element("p", { class: "omitted" }, `This chart cannot be drawn: ${error.message}`));
    console.error(error);
  });
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      start(target);
    }
  }, { rootMargin: "800px" });
  places.forEach((place) => near.observe(place));
  const later = window.requestIdleCallback ?? ((work) => setTimeout(work, 200));
  const next = () => {
    const place = places.shift();
    if (place) start(place).finally(() => later(next));
  };
  later(next);
  addEventListener("resize", () => document.querySelectorAll(".chart").forEach(fit));
}
