// The charts: drawn by Vega-Lite when they come near, as SVG whose colours are the page's own, so that a change of the
// theme, or paper, needs no drawing.

const INK = { text: "var(--ink)", muted: "var(--muted)", rule: "var(--rule)" };
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';
const titled = { titleColor: INK.muted, labelColor: INK.muted, titleFontWeight: 500, labelFontSize: 11, titleFontSize: 11 };
const CONFIG = {
  aria: false, // a chart is one image with its reading as its text: the table has the rest
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

/** The row of the table that a mark shows; undefined where it shows many, or none. */
const rowOf = (datum) => (Number.isInteger(datum?.row) && datum.row >= 0 && datum.row < data.rows ? datum.row : undefined);

/** What a mark that shows many results shares with them, such as its algorithm, and their rows; null of other marks. */
function sharedBy(datum, chapter) {
  const words = ["algorithm", "layer", "family", "outcome"].filter((name) => data.texts[name].words.includes(datum?.[name]));
  if (!words.length) return null;
  const same = [["chapter", chapter], ...words.map((name) => [name, datum[name]])]
    .map(([name, word]) => [data.texts[name].codes, data.texts[name].words.indexOf(word)]);
  const rows = Array.from(data.clock.keys()).filter((row) => same.every(([codes, code]) => codes[row] === code));
  return { rows, words: words.map((name) => datum[name]).join(", ") };
}

/** What hovers beside a mark: all about its record, or what the chart tells of many. */
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

/** Whether a figure has a selection of its own, `pick`, by the rows of its marks. */
const selects = (figure) => (specifications[figure].chart.params ?? []).some(({ name }) => name === "pick");

/** Draw a figure, and tell `choose` what is selected in it: rows, and in words what they share; null when nothing is any more. */
async function draw(place, choose) {
  const { figure } = place.dataset;
  if (views.has(figure)) return;
  views.set(figure, null);
  const { view } = await vegaEmbed(place, specifications[figure].chart, {
    actions: false, ast: true, config: CONFIG, defaultStyle: false, mode: "vega-lite", renderer: "svg", tooltip,
  });
  views.set(figure, view);
  place.querySelector("svg").setAttribute("aria-hidden", "true"); // the place around it is the image, with its text
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

/** A chart that is wider than its box scrolls in it, for the keyboard too. */
function fit(box) {
  if (box.scrollWidth > box.clientWidth + 1) box.setAttribute("tabindex", "0");
  else box.removeAttribute("tabindex");
}

/** Take back what is selected in a figure. */
async function unselect(figure) {
  const view = views.get(figure);
  if (view && selects(figure)) await view.data("pick_store", []).runAsync();
}

/** Draw each figure when it comes near, and the others when there is time. */
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
