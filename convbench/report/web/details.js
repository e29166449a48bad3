// The details below a row that was opened: all samples, the phases, all figures, the machine, and the command.

const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A chart of the samples of a row in the order in which they were taken. All series have the same scale. */
function samplesChart(row) {
  const all = series(row);
  if (!all.length) return null;
  const [wide, high, left] = [560, 96, 4];
  const low = Math.min(...all.map((one) => one.low));
  const top = Math.max(...all.map((one) => one.high));
  const y = (us) => high - 8 - ((us - low) / (top - low || 1)) * (high - 16);
  const room = (wide - left) / all.length;
  const parts = all.flatMap((one, place) => {
    const start = left + place * room;
    const step = (room - 24) / Math.max(1, one.samples.length);
    const names = place === 0 ? ["median_us", "low_us", "high_us"] : ["other_us", "other_low_us", "other_high_us"];
    const [median, from, to] = names.map((name) => numbers[name][row]);
    const width = room - 24;
    const band = Number.isFinite(from)
      ? [drawn("rect", { class: "band", x: start, width, y: y(to), height: Math.max(1, y(from) - y(to)) })]
      : [];
    return [
      ...band,
      drawn("line", { class: "median", x1: start, x2: start + width, y1: y(median), y2: y(median) }),
      ...one.samples.map((us, i) => drawn("circle", {
        class: one.throttled.has(i) ? "throttled" : "sample", r: one.samples.length > 120 ? 1.2 : 2,
        cx: (start + step * (i + 0.5)).toFixed(1), cy: y(us).toFixed(1),
      })),
    ];
  });
  const said = all.map((one) => {
    const shown = one.samples.length < one.taken ? `${one.samples.length} of ${one.taken} samples` : `${one.taken} samples`;
    const slowed = one.throttled.size ? `, ${one.throttled.size} of those shown throttled (hollow)` : "";
    return `${one.cache} cache: ${shown} from ${duration(one.low)} to ${duration(one.high)}${slowed}`;
  });
  const picture = drawn("svg", {
    class: "samples", viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `Samples. ${said.join(". ")}.`,
  }, ...parts);
  const ends = { precise: "the error was small", samples: "there were enough", seconds: "there was no time for more" };
  return element("section", { class: "wide" },
    element("h4", {}, `Samples in the order they were taken${labelOf(row)}`),
    picture,
    element("ul", { class: "notes" }, ...all.map((one, place) =>
      element("li", {}, `${said[place]}. ${one.method}; ended when ${ends[one.stop] ?? one.stop}.`))),
    element("p", { class: "notes" }, "Line: median of those that count; band: its 95 % interval."));
}

/** The phases of a run as parts of one bar. */
function phasesBar(row) {
  const found = phases(row);
  const total = found.reduce((sum, [, us]) => sum + us, 0);
  if (!total) return null;
  const bar = element("div", { class: "phases", "aria-hidden": "true" }, ...found.map(([, us], place) => {
    const part = element("span", { class: `phase-${place % 5}` });
    part.style.setProperty("flex-grow", us / total);
    return part;
  }));
  return element("section", {},
    element("h4", {}, `Phases of a run, each timed alone${labelOf(row)}`),
    bar,
    element("ul", { class: "legend" }, ...found.map(([name, us], place) =>
      element("li", { class: `phase-${place % 5}` }, `${name} ${duration(us)}, ${percent(us / total)}`))));
}

const spoken = (value) => (value !== null && typeof value === "object"
  ? Object.entries(value).map(([name, inner]) => `${name} ${spoken(inner)}`).join(", ")
  : String(value ?? NOTHING));

const list = (pairs) => element("dl", {}, ...pairs.map(([name, value]) =>
  element("div", {}, element("dt", {}, name), element("dd", {}, value))));

/** Copy text to the clipboard. A page opened from disk may not have the clipboard API: then select the text. */
async function copy(words, from) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    const range = document.createRange();
    range.selectNodeContents(from);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy"); // if this is forbidden too, the text stays selected
  }
}

function commandBox(row) {
  const words = command(row);
  const code = element("code", { tabindex: "0" }, words);
  const said = element("span", { role: "status", class: "said" });
  const button = element("button", {
    type: "button", class: "copy",
    onclick: async () => (said.textContent = (await copy(words, code)) ? "Copied" : "Selected: press Ctrl+C"),
  }, "Copy");
  return element("section", { class: "wide" }, element("h4", {}, "To measure it again"),
    element("div", { class: "command" }, code, button, said));
}

/** A row of the table with the details of the row above it. */
function detailsOf(row, columns) {
  const machine = data.environments.words[data.environments.codes[row]];
  const facts = [
    ["problem", text("problem", row)], ["workload", text("workload", row)], ["layer", text("layer", row)],
    ["algorithm", `${text("algorithm", row)} (${text("family", row)})`], ["config", text("config", row)],
    ["direction", text("direction", row)], ["arrays, products", `${text("dtype", row)}, ${text("precision", row)}`],
    ["outcome", text("outcome", row).replaceAll("_", " ")], ["reason", text("reason", row)],
  ].filter(([, value]) => value !== "" && value !== "{}");
  const reading = data.readings.words[data.readings.codes[row]];
  const around = [["measured", text("when", row)], ...(reading ? [["GPU meanwhile", reading]] : []),
    ...Object.entries(machine).filter(([name]) => name !== "is_gpu").map(([name, value]) => [name.replaceAll("_", " "), spoken(value)])];
  const inside = element("div", { class: "details" },
    ...[
      commandBox(row), samplesChart(row),
      element("section", {}, element("h4", {}, "What it is"), list(facts)),
      element("section", {}, element("h4", {}, "Figures"), list(figuresOf(row))),
      phasesBar(row),
      element("section", {}, element("h4", {}, "Machine"), list(around)),
    ].filter(Boolean));
  return element("tr", { class: "detail" }, element("td", { colspan: columns }, inside));
}
