// The records of the page, by column, and functions that write their numbers.

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("records");
const specifications = read("specifications");

const NOTHING = "–";
const numbers = Object.fromEntries(
  Object.entries(data.numbers).map(([name, values]) => [name, Float64Array.from(values, (value) => value ?? NaN)]),
);

/** The text of a row in a column. */
function text(name, row) {
  const column = data.texts[name];
  return column.words[column.codes[row]];
}

/** The command that repeats a row. The page has it without problem and algorithm, to save room: put them back, in the
 *  reverse of the order in which they were taken out. */
function command(row) {
  return text("command", row).replaceAll("\0a", () => text("algorithm", row)).replaceAll("\0p", () => text("problem", row));
}

const clockOf = (row) => data.clocks[data.clock[row]];

/** The words that follow the times of one row: those of a native baseline are neither emulated nor simulated. */
const labelOf = (row) => (data.native[row] ? clockOf(row).native : clockOf(row).label.replace("; baselines native", ""));

const plain = new Intl.NumberFormat("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A number with three significant digits, or with all before the point; with an exponent if it is less than 0.001. */
function digits(value) {
  if (!Number.isFinite(value)) return NOTHING;
  if (value === 0) return "0";
  if (Math.abs(value) >= 999.5) return whole.format(value);
  return Math.abs(value) < 1e-3 ? value.toExponential(1).replace("-", "−") : plain.format(value);
}

/** A duration, given in microseconds, in a unit that suits. */
function duration(us) {
  if (!Number.isFinite(us)) return NOTHING;
  if (us >= 1e6) return `${digits(us / 1e6)} s`;
  return us >= 1e3 ? `${digits(us / 1e3)} ms` : `${digits(us)} µs`;
}

/** A rate, given in TFLOP/s, in a unit that suits. */
function rate(tflops) {
  if (!Number.isFinite(tflops)) return NOTHING;
  const [unit, scale] = [["TFLOP/s", 1], ["GFLOP/s", 1e3], ["MFLOP/s", 1e6]].find(([, s]) => tflops * s >= 1) ?? ["kFLOP/s", 1e9];
  return `${digits(tflops * scale)} ${unit}`;
}

const percent = (share) => (Number.isFinite(share) ? `${digits(share * 100)} %` : NOTHING);

const ulps = (error) => (Number.isFinite(error) ? `${digits(error)} ulp` : NOTHING);

function size(bytes) {
  if (!Number.isFinite(bytes)) return NOTHING;
  const [unit, scale] = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]].find(([, s]) => bytes >= s) ?? ["B", 1];
  return `${bytes === 0 ? 0 : plain.format(bytes / scale).replace(/\.0+$/, "")} ${unit}`;
}

/** The 95 % interval of a median, or a dash if there were too few samples for one. */
function interval(low, high) {
  return Number.isFinite(low) && Number.isFinite(high) ? `${duration(low)} to ${duration(high)}` : NOTHING;
}

/** Every series of a row: its description, and its samples in microseconds in the order in which they were taken. */
function series(row) {
  return data.series.rows[row].map(([said, low, high, packed, throttled = [], taken = packed.length]) => {
    const step = (high - low) / (data.steps.length - 1);
    const samples = Array.from(packed, (character) => low + step * data.steps.indexOf(character));
    return { ...data.series.said[said], low, high, samples, taken, throttled: new Set(throttled) };
  });
}

/** The phases of a row, with their microseconds. */
function phases(row) {
  const flat = data.phases.rows[row];
  return Array.from({ length: flat.length / 2 }, (_, i) => [data.phases.names[flat[2 * i]], flat[2 * i + 1]]);
}

/** An element with attributes and children. Strings become text, never markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The figures of a row for tooltips and details, as pairs of name and text. Figures that it lacks are left out. */
function figuresOf(row) {
  const us = (name) => numbers[name][row];
  const withInterval = (median, low, high) => {
    const range = interval(us(low), us(high));
    return duration(us(median)) + (range === NOTHING ? "" : ` (95 %: ${range})`);
  };
  const mark = labelOf(row);
  const cache = text("cache", row);
  const pairs = [
    [`median${cache ? `, ${cache} cache` : ""}${mark}`, withInterval("median_us", "low_us", "high_us")],
    [`median, ${cache === "cold" ? "warm" : "cold"} cache${mark}`, withInterval("other_us", "other_low_us", "other_high_us")],
    ["spread (IQR of median)", percent(us("spread"))],
    [`rate${mark}`, rate(us("tflops"))],
    ["speed of the best", percent(us("of_best"))],
    ["rms error", ulps(us("rms_error_ulp"))],
    ["worst error", ulps(us("worst_error_ulp"))],
    ["used of the error bound", percent(us("fraction"))],
    ["exact on integers", data.exact[row] ? "yes, bit for bit" : NOTHING],
    ["workspace", size(us("workspace_bytes"))],
    [`prepare, once per weights${mark}`, duration(us("prepare_us"))],
    [`host, per run${mark}`, duration(us("host_us"))],
    [`launch: host, to queue one run${mark}`, duration(us("queue_us"))],
    [`hardware floor${mark}`, duration(us("floor_us"))],
    [`compile, once${mark}`, us("compile_s") > 0 ? duration(us("compile_s") * 1e6) : NOTHING],
  ];
  return pairs.filter(([, value]) => value !== NOTHING);
}
