// The columns of the table: their heads, the contents of their cells, and the keys by which they sort.

const collator = new Intl.Collator("en", { numeric: true });

/** Whether a text differs between rows. One that does not is written once above the table, and has no column. */
const varied = (name) => data.texts[name].words.length > 1;

/** The rank of each of a column's words; rows sort by it. */
function ranks(name) {
  const { words } = data.texts[name];
  const order = words.map((_, code) => code).sort((a, b) => {
    const [one, other] = [words[a], words[b]];
    return (one === "") - (other === "") || collator.compare(one, other);
  });
  const places = new Float64Array(words.length);
  order.forEach((code, place) => (places[code] = words[code] === "" ? NaN : place));
  return places;
}

function textColumn(name, head, about, always = false) {
  let order = null;
  return {
    key: name, head, about, kind: "text", shown: () => always || varied(name), write: (row) => text(name, row),
    sortBy(row) {
      order ??= ranks(name);
      return order[data.texts[name].codes[row]];
    },
  };
}

/** A column of numbers. `unit` and `write` are called with the clock whose times the table shows. */
function numberColumn(name, head, about, unit, write) {
  const values = numbers[name];
  return {
    key: name, head, about, kind: "number", unit, shown: () => values.some(Number.isFinite),
    write: (row) => write(values[row], clockOf(row)), sortBy: (row) => values[row],
  };
}

const mark = (clock) => clock.label.replace(/^ \(|\)$/g, "");
const marked = (unit) => (clock) => [unit(clock), mark(clock)].filter(Boolean).join(", ");
const inTime = marked((clock) => clock.unit);
const time = (name, head, about) => numberColumn(name, head, about, inTime, (us, clock) => digits(us / clock.us));

/** Half the width of the 95 % interval, as a share of the median. */
const error = new Float64Array(data.rows);
for (let row = 0; row < data.rows; row++) {
  error[row] = (numbers.high_us[row] - numbers.low_us[row]) / 2 / numbers.median_us[row];
}
numbers.error = error;

/** A column that is not printed, because paper has no room for it. */
const extra = (column) => ({ ...column, extra: true });

/** A commit, shortened as git does it; the details of a row have all of it. */
const short = (commit) => commit.replace(/^([0-9a-f]{12})[0-9a-f]{28}/, "$1");

const leads = new Set(data.texts.cache.words.filter(Boolean));
const lead = leads.size === 1 ? `, ${[...leads][0]}` : "";
const other = { ", warm": "Median, cold", ", cold": "Median, warm" }[lead] ?? "Other cache";
const share = (value) => (Number.isFinite(value) ? digits(value * 100) : NOTHING);

const COLUMNS = [
  { ...textColumn("layer", "Layer", "of the workload", true), kind: "head" },
  textColumn("workload", "Workload", "the list of problems it is from"),
  textColumn("problem", "Problem", "as convbench writes and reads it", true),
  {
    ...textColumn("algorithm", "Algorithm", "what computed it", true),
    write: (row) => text("algorithm", row) + (data.native[row] ? " (native)" : ""),
  },
  textColumn("config", "Config", "its launch configuration"),
  textColumn("direction", "Direction", "forward, or one of the gradients"),
  textColumn("dtype", "Dtype", "of the arrays"),
  textColumn("precision", "Precision", "of the multiplications"),
  textColumn("device", "Device", "that ran it"),
  { ...textColumn("commit", "Commit", "of convbench's source"), write: (row) => short(text("commit", row)) },
  { ...textColumn("outcome", "Outcome", "only what passed has times", true), kind: "outcome" },
  time("median_us", `Median${lead}`, "of all samples that count"),
  numberColumn("error", "±", "half the 95 % interval of the median", () => "% of median", share),
  { ...numberColumn("of_best", "Speed", "of the fastest on this problem", marked(() => "% of best"), share), kind: "bar" },
  time("other_us", other, "with the cache in the other state"),
  numberColumn("tflops", "Rate", "FLOPs of the direct method per median", marked((clock) => clock.rate),
    (value, clock) => digits(value * clock.scale)),
  numberColumn("spread", "Spread", "interquartile range of the samples", () => "% of median", share),
  numberColumn("rms_error_ulp", "Error", "root mean square, in last places of the output's magnitude", () => "ulp", digits),
  extra(numberColumn("worst_error_ulp", "Worst error", "of all elements, in the same unit", () => "ulp", digits)),
  numberColumn("fraction", "Of bound", "error of the worst element, of its own bound", () => "%", share),
  extra(numberColumn("workspace_bytes", "Workspace", "memory besides the arrays", () => "", size)),
  extra(numberColumn("prepare_us", "Prepare", "once per weights", inTime, (us, clock) => digits(us / clock.us))),
  extra(numberColumn("host_us", "Host", "spent by the host on each run", marked(() => "µs"), digits)),
  extra(numberColumn("queue_us", "Launch", "of the host, to queue one run", marked(() => "µs"), digits)),
  extra(numberColumn("compile_s", "Compile", "once per kernel", marked(() => "s"), (s) => (s > 0 ? digits(s) : NOTHING))),
  extra(numberColumn("samples", "Samples", "all of them, throttled ones too", () => "", (n) => (n > 0 ? String(n) : NOTHING))),
];

/** The columns that can be filtered by their values, if they have more than one. */
const FACETS = ["chapter", "layer", "algorithm", "family", "outcome", "direction", "dtype", "precision", "workload",
  "device", "commit"].filter(varied);
