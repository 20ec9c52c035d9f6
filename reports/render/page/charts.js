// Draw the charts of one report from the data embedded in the page. Nothing is fetched, and text is inserted only as text.
// The page of a run in progress embeds no data: it calls ltCharts.begin once, then ltCharts.update.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;

  // ---- data: one gzip of 32-bit deltas, split into byte planes; the smallest integer stands for "no value"
  const unpack = async ({ packed, length, scales }) => {
    const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const raw = new Uint8Array(await new Response(stream).arrayBuffer());
    return scales.map((scale, index) => {
      const from = 4 * length * index;
      const values = new Array(length);
      let sum = 0;
      for (let i = 0; i < length; i++) {
        const delta = raw[from + i] | (raw[from + length + i] << 8)
          | (raw[from + 2 * length + i] << 16) | (raw[from + 3 * length + i] << 24);
        sum = (sum + delta) | 0;
        values[i] = sum === -2147483648 ? null : sum / scale;
      }
      return values;
    });
  };
  let [page, columns, step, times, first, last] = [null, [], 1, [], 0, 1];
  let endpoint = ""; // the endpoint that is shown separately; "" for all
  const choose = () => {
    for (const spec of page.charts) spec.series = spec.endpoints?.[endpoint] ?? spec.all;
  };
  const load = async (data) => {
    const fresh = await unpack(data.time);
    for (const spec of data.charts) {
      spec.all = spec.series;
      if (spec.heat) spec.heat.bands = await unpack(spec.heat);
    }
    const whole = range[0] <= first && range[1] >= last; // after the last wait, because a click may have come meanwhile
    [page, columns] = [data, fresh];
    choose();
    step = page.time.step_s;
    times = Array.from({ length: page.time.length }, (_, i) => page.time.from_s + i * step);
    first = times[0] ?? 0;
    last = times.length ? times[times.length - 1] : 1;
    return whole;
  };

  // ---- words
  const two = (n) => String(n).padStart(2, "0");
  const elapsed = (s) => {
    const whole = Math.round(Math.abs(s));
    const hours = Math.floor(whole / 3600);
    const minutes = Math.floor(whole / 60) % 60;
    return (s < 0 ? "−" : "") + (hours ? `${hours}:${two(minutes)}` : minutes) + ":" + two(whole % 60);
  };
  const utc = (s, run) => new Date(page.runs[run].load_start_ms + 1000 * Math.round(s)).toISOString().slice(11, 19);
  let clock = "elapsed";
  const onClock = (s) => (clock === "utc" ? utc(s, 0) : elapsed(s));
  const number = (value, unit) => {
    if (value == null) return "–";
    const size = Math.abs(value);
    const digits = unit === "%" ? 1 : Number.isInteger(value) ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0;
    return value.toLocaleString("en", { maximumFractionDigits: digits }) + (unit === "%" ? " %" : unit ? " " + unit : "");
  };

  // ---- the style sheet defines the colours; a probe element reads their values in the current theme
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const dashes = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [5, 2, 1, 2, 1, 2]];

  const element = (kind, words, attributes = {}) => {
    const made = document.createElement(kind);
    if (words != null) made.textContent = words;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const swatch = (series) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [k, v] of Object.entries({ width: 26, height: 8, "aria-hidden": "true" })) svg.setAttribute(k, v);
    for (const [k, v] of Object.entries({ x1: 0, y1: 4, x2: 26, y2: 4, "stroke-width": 2.5 })) line.setAttribute(k, v);
    line.setAttribute("stroke-dasharray", dashes[series.run % dashes.length].join(" "));
    line.style.stroke = `var(${series.colour})`;
    svg.append(line);
    return svg;
  };

  // ---- a chart and its legend
  const charts = []; // over time: {host, spec, plot, legend, shown, at}
  const planes = []; // by percentile, by requests in flight
  let range = [0, 1];
  let linking = false;
  let [logLatency, logChosen] = [false, false];

  const paperWidth = 690; // the width of A4 and Letter without margins, because the browser lays out the paper only after this drawing
  const widthOf = (host) => (root.classList.contains("paper") ? paperWidth : host.clientWidth);
  const seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]; // no two ticks are the same
  const places = (ticks) => { // as many decimals as the steps between ticks need: 2.5 is not 3
    const known = ticks.filter((tick) => tick != null);
    const gap = known.length > 1 ? Math.min(...known.slice(1).map((tick, i) => Math.abs(tick - known[i]))) : 1;
    let digits = 0;
    while (gap > 0 && digits < 6 && Math.abs(gap * 10 ** digits - Math.round(gap * 10 ** digits)) > 1e-6 * gap * 10 ** digits) digits += 1;
    return digits;
  };
  const values = (self, ticks) => {
    const digits = places(ticks);
    return ticks.map((tick) => (tick == null ? "" : tick.toLocaleString("en", { maximumFractionDigits: digits })));
  };
  const round = (self) => { // uPlot's own ticks of a logarithmic axis are round only if the axis begins at a power of ten
    const { min, max } = self.scales.y;
    const found = [];
    for (let power = 10 ** Math.floor(Math.log10(min)); power <= max; power *= 10)
      for (let digit = 1; digit < 10; digit += 1) if (digit * power >= min && digit * power <= max) found.push(digit * power);
    return found;
  };
  const clearCursor = () => {
    for (const { plot } of charts.concat(planes)) plot?.setCursor({ left: -10, top: -10 });
  };
  const axis = () => ({ stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 },
    ticks: { stroke: colour("--grid"), width: 1 }, font: "12px system-ui, sans-serif" });
  const lonely = (plot, index) => { // a value between two gaps has no line, so it is drawn as a point
    const values = plot.data[index];
    const [from, to] = plot.series[0].idxs ?? [0, values.length - 1];
    const found = [];
    for (let i = from; i <= to; i++)
      if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
    return found;
  };
  const bands = (chart) => (plot) => {
    const { ctx, bbox } = plot;
    const pixel = devicePixelRatio;
    const span = (from, to) => {
      const left = plot.valToPos(from, "x", true);
      return [left, Math.max(2 * pixel, plot.valToPos(to, "x", true) - left)];
    };
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const mark of page.saturated) { // a strip along the top, or a band in the charts of the generator itself
      ctx.fillStyle = colour("--busy");
      const [left, width] = span(mark.from_s, mark.to_s);
      ctx.fillRect(left, bbox.top, width, chart.spec.generator ? bbox.height : 5 * pixel);
    }
    const written = []; // where each line of labels ends: a label that would touch the label before it is moved to the line below
    for (const spike of page.spikes) {
      const [left, width] = span(spike.from_s, spike.to_s);
      ctx.fillStyle = colour("--band");
      ctx.fillRect(left, bbox.top, width, bbox.height);
      ctx.fillStyle = colour("--band-edge");
      ctx.fillRect(left, bbox.top, pixel, bbox.height);
      if (chart.spec.main) {
        ctx.fillStyle = colour("--bad");
        ctx.font = `600 ${11 * pixel}px system-ui, sans-serif`;
        ctx.textAlign = "left";
        let line = written.findIndex((end) => end <= left);
        if (line < 0) line = written.length;
        const room = bbox.left + bbox.width - left - 8 * pixel; // the number of a label is more useful than a part of its text
        const label = ctx.measureText(spike.label).width <= room ? spike.label : spike.label.split(" ")[0];
        written[line] = left + ctx.measureText(label).width + 12 * pixel;
        ctx.fillText(label, left + 4 * pixel, bbox.top + (13 + 14 * line) * pixel);
      }
    }
    ctx.restore();
  };
  const heat = (chart) => (plot) => { // the shade follows the square root of the count, so that a few requests are visible next to many
    const { ctx, bbox } = plot;
    const { bands, edges, most, from_s, step_s, length } = chart.spec.heat;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = colour("--heat");
    const tops = edges.map((edge) => plot.valToPos(edge, "y", true));
    for (let at = 0; at < length; at++) {
      const left = plot.valToPos(from_s + at * step_s, "x", true);
      const width = plot.valToPos(from_s + (at + 1) * step_s, "x", true) - left;
      if (left + width < bbox.left || left > bbox.left + bbox.width) continue;
      for (let band = 0; band < bands.length; band++) {
        if (!bands[band][at]) continue;
        ctx.globalAlpha = 0.1 + 0.9 * Math.sqrt(bands[band][at] / most);
        ctx.fillRect(left, tops[band + 1], Math.max(1, width), tops[band] - tops[band + 1]);
      }
    }
    ctx.restore();
  };
  const marks = (chart) => (plot) => {
    const { ctx, bbox } = plot;
    const pixel = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const limit of chart.spec.limits ?? []) {
      const y = plot.valToPos(limit.y, "y", true);
      ctx.strokeStyle = ctx.fillStyle = colour("--bad");
      ctx.setLineDash([6 * pixel, 4 * pixel]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.font = `${11 * pixel}px system-ui, sans-serif`;
      ctx.textAlign = "right";
      ctx.fillText(limit.label, bbox.left + bbox.width - 4 * pixel, y - 4 * pixel);
    }
    ctx.setLineDash([]);
    for (const born of chart.spec.born ?? []) { // the first answer of an instance is a tick that points up from the axis
      const x = plot.valToPos(born.at_s, "x", true);
      ctx.fillStyle = colour(born.colour);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top + bbox.height - 9 * pixel);
      ctx.lineTo(x - 4 * pixel, bbox.top + bbox.height);
      ctx.lineTo(x + 4 * pixel, bbox.top + bbox.height);
      ctx.fill();
    }
    ctx.restore();
  };
  const fits = (chart) => (plot, low, high) => { // from zero, with space for a limit that is near
    if (high == null) return [0, 1];
    let top = high;
    for (const limit of chart.spec.limits ?? []) if (limit.y < 4 * high) top = Math.max(top, 1.15 * limit.y);
    return [0, Math.max(top * 1.06, chart.spec.least ?? 0) || 1];
  };

  const dataOf = (spec) => (spec.kind === "time" ? [times, ...spec.series.map((series) => columns[series.column])]
    : uPlot.join(spec.series.map((series) => [series.x, series.y])));
  const timeChart = (chart) => {
    const { spec, host } = chart;
    const logarithmic = (spec.main && logLatency) || spec.heat;
    const counted = spec.series.some((series, index) => series.counted && chart.shown[index]);
    const plot = new uPlot({
      width: widthOf(host), height: spec.height, legend: { show: false },
      scales: { x: { time: false, min: range[0], max: range[1] },
        y: spec.heat ? { distr: 3, range: [spec.heat.edges[0], spec.heat.edges.at(-1)] }
          : logarithmic ? { distr: 3 } : { range: fits(chart) },
        count: { range: (self, low, high) => [0, Math.max(2, 3 * (high ?? 0))] } }, // in the lowest third
      cursor: { sync: { key: "time" }, drag: { x: true, y: false, setScale: true }, points: { size: 6 } },
      hooks: {
        drawClear: spec.heat ? [heat(chart), bands(chart)] : [bands(chart)], draw: [marks(chart)],
        setScale: [(self, key) => { if (key === "x") follow(self); }],
        setCursor: [(self) => read(chart, self.cursor.idx)],
      },
      axes: [
        { ...axis(), values: (self, ticks) => ticks.map(onClock), incrs: seconds, space: 70, size: 30 },
        { ...axis(), size: 58, space: 22, values, splits: spec.heat ? round : null },
        ...(counted ? [{ ...axis(), scale: "count", side: 1, size: 58, space: 30, grid: { show: false }, ticks: { show: false },
          label: "instances", labelSize: 18, labelFont: "12px system-ui, sans-serif", incrs: [1, 2, 5, 10, 20, 50, 100],
          values: (self, ticks) => ticks.map((tick) => (tick > self.scales.count.max / 2.9 ? "" : tick)) }] : []),
      ],
      series: [{}].concat(spec.series.map((series, index) => ({
        label: series.name, stroke: colour(series.colour), width: series.strong ? 2 : 1.25,
        dash: dashes[series.run % dashes.length], show: chart.shown[index], scale: series.counted ? "count" : "y",
        paths: series.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
        points: { size: 4, space: 14, fill: colour(series.colour), filter: (self, i, show) => (show ? null : lonely(self, i)) },
      }))),
    }, dataOf(spec), host);
    return plot;
  };
  const follow = (from) => { // linked zoom; setScale of the other charts calls this again, so there is a guard
    if (linking) return;
    linking = true;
    range = [from.scales.x.min, from.scales.x.max];
    for (const { plot } of charts) if (plot && plot !== from) plot.setScale("x", { min: range[0], max: range[1] });
    linking = false;
    const whole = range[0] <= first && range[1] >= last;
    if (!byId("range")) return; // a page without the main chart has no controls
    byId("range").textContent = whole ? `the whole run, ${elapsed(last + step - Math.min(0, first))}`
      : `${onClock(range[0])} to ${onClock(range[1])}`;
    byId("whole").disabled = whole;
  };
  const zoom = (from, to) => {
    clearCursor();
    const low = Math.max(first, Math.min(from, to));
    const high = Math.min(last, Math.max(from, to));
    if (charts.length && high - low >= 2 * step) charts[0].plot.setScale("x", { min: low, max: high });
  };
  const unitOf = (spec, i) => (spec.series[i].counted ? "" : spec.unit);
  const read = (chart, index) => {
    chart.values.forEach((value, i) => {
      value.textContent = index == null ? "" : number(columns[chart.spec.series[i].column][index], unitOf(chart.spec, i));
    });
    if (byId("at")) byId("at").textContent = index == null ? "" : `${elapsed(times[index])} after the load began · `
      + page.runs.map((run, i) => `${utc(times[index], i)} UTC${page.runs.length > 1 ? ` (${run.name})` : ""}`).join(" · ");
  };
  const say = (chart, index) => {
    if (byId("spoken")) byId("spoken").textContent = `${elapsed(times[index])}: ` + chart.spec.series
      .map((series, i) => (chart.shown[i] ? `${series.name} ${number(columns[series.column][index], unitOf(chart.spec, i))}` : ""))
      .filter(Boolean).join(", ");
  };

  const legendOf = (chart) => {
    const legend = element("div", null, { class: "legend", role: "group", "aria-label": `${chart.spec.title}: lines` });
    chart.values = chart.spec.series.map((series, index) => {
      const button = element("button", null, { type: "button", "aria-pressed": String(chart.shown[index]) });
      const value = element("b", "");
      button.append(swatch(series), element("span", series.name), value);
      button.addEventListener("click", () => {
        chart.shown[index] = !chart.shown[index];
        button.setAttribute("aria-pressed", String(chart.shown[index]));
        if (series.counted) draw(); // the axis of a line appears and disappears with the line
        else chart.plot.setSeries(index + 1, { show: chart.shown[index] });
      });
      legend.append(button);
      return value;
    });
    chart.legend?.remove();
    chart.legend = legend;
    chart.host.before(legend);
  };
  const tableOf = (box, heads, rows) => {
    const table = element("table");
    const line = table.createTHead().insertRow();
    for (const head of heads) line.append(element("th", head, { scope: "col", class: "n" }));
    const body = table.createTBody();
    for (const row of rows) {
      const tr = body.insertRow();
      for (const cell of row) tr.append(element("td", cell, { class: "n" }));
    }
    box.append(table);
  };
  const fillTable = (chart) => {
    const { spec } = chart;
    const details = byId(`${spec.id}-table`);
    const box = details?.querySelector(".scroll");
    if (!box || !details.open || box.firstChild) return;
    if (spec.kind === "plane")
      return tableOf(box, ["line", spec.x_unit, spec.unit],
        spec.series.flatMap((series) => series.x.map((x, i) => [series.name, number(x, ""), number(series.y[i], "")])));
    if (spec.heat) {
      const { edges, bands: counts, from_s, step_s, length } = spec.heat;
      const heads = edges.slice(1).map((edge, band) => `${number(edges[band], "")} – ${number(edge, "")} ms`);
      return tableOf(box, ["elapsed", ...heads], Array.from({ length }, (_, at) =>
        [elapsed(from_s + at * step_s), ...counts.map((band) => number(band[at], ""))]));
    }
    const names = ["elapsed", "UTC", ...spec.series.map((series, i) => `${series.name}${unitOf(spec, i) ? `, ${unitOf(spec, i)}` : ""}`)];
    tableOf(box, names, times.map((t, i) => [elapsed(t), utc(t, 0), ...spec.series.map((series) => number(columns[series.column][i], ""))]));
  };

  const keys = (chart) => (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { plot } = chart;
    const [low, high] = range;
    const middle = chart.at == null ? (low + high) / 2 : times[chart.at];
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    if (event.key in moves || event.key === "Home" || event.key === "End") {
      const from = Math.max(0, Math.ceil((low - first) / step));
      const to = Math.min(times.length - 1, Math.floor((high - first) / step));
      const stride = moves[event.key] * (event.shiftKey ? 10 : 1);
      const start = chart.at ?? (event.key === "ArrowLeft" ? to + 1 : from - 1);
      const next = event.key === "Home" ? from : event.key === "End" ? to : start + stride;
      chart.at = Math.min(to, Math.max(from, next));
      plot.setCursor({ left: plot.valToPos(times[chart.at], "x"), top: plot.over.clientHeight / 2 }, true, true);
      say(chart, chart.at);
    } else if (event.key === "+" || event.key === "=") zoom(middle - (middle - low) / 2, middle + (high - middle) / 2);
    else if (event.key === "-") zoom(middle - (middle - low) * 2, middle + (high - middle) * 2);
    else if (event.key === "0" || event.key === "Escape") zoom(first, last);
    else return;
    event.preventDefault();
  };

  // ---- the charts whose horizontal axis is not time: latency by percentile, throughput and p95 by requests in flight
  const nines = (x) => `${(100 * (1 - 10 ** -x)).toFixed(Math.max(0, Math.ceil(x - 1e-9) - 2))} %`;
  const plane = (chart) => {
    const { spec, host } = chart;
    const percentiles = spec.kind === "percentiles";
    return new uPlot({
      width: widthOf(host), height: spec.height, legend: { show: false },
      scales: { x: { time: false }, y: percentiles ? { distr: 3 } : { range: fits(chart) } },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      ...(percentiles ? { padding: [null, 34, null, null] } : {}), // space for the label of a tick at the right edge
      hooks: { draw: [marks(chart)], setCursor: [(self) => {
        const [index, data] = [self.cursor.idx, self.data];
        const here = index == null ? "" : percentiles ? nines(data[0][index]) : `${number(data[0][index], "")} ${spec.x_unit}`;
        byId(`${spec.id}-at`).textContent = here;
        chart.values.forEach((value, i) => {
          value.textContent = index == null || data[i + 1][index] == null ? "" : number(data[i + 1][index], spec.unit);
        });
      }] },
      axes: [
        percentiles
          ? { ...axis(), splits: (self) => [0, 0.301, 1, 2, 3, 4, 5].filter((at) => at <= self.scales.x.max), values: (self, ticks) => ticks.map(nines) }
          : { ...axis(), values, label: spec.x_label, labelSize: 20, labelFont: "12px system-ui, sans-serif" },
        { ...axis(), size: 58, values, label: spec.y_label, labelSize: 20, labelFont: "12px system-ui, sans-serif" },
      ],
      series: [{}].concat(spec.series.map((series, index) => ({
        label: series.name, stroke: colour(series.colour), width: 2, dash: dashes[series.run % dashes.length],
        show: chart.shown[index], spanGaps: true,
        ...(percentiles ? { points: { show: false } }
          : { paths: () => null, points: { show: true, size: 5, fill: colour(series.colour) } }),
      }))),
    }, dataOf(spec), host);
  };

  const draw = () => {
    for (const chart of charts.concat(planes)) {
      chart.plot?.destroy();
      chart.plot = null;
    }
    for (const chart of charts) chart.plot = timeChart(chart);
    for (const chart of planes) chart.plot = plane(chart);
    if (charts.length) follow(charts[0].plot);
  };
  const redraw = () => { // charts in a folded part have no width until the part is opened
    for (const chart of charts.concat(planes)) if (chart.plot && chart.plot.width !== widthOf(chart.host)) return draw();
  };
  const add = (spec) => {
    const chart = { spec, host: byId(spec.id), plot: null, at: null, values: [], shown: spec.series.map((s) => !s.hidden) };
    (spec.kind === "time" ? charts : planes).push(chart);
    legendOf(chart);
    if (spec.kind === "time") chart.host.addEventListener("keydown", keys(chart));
    byId(`${spec.id}-table`)?.addEventListener("toggle", () => fillTable(chart));
  };

  // ---- the controls
  const press = (button, pressed) => button?.setAttribute("aria-pressed", String(pressed));
  const themes = ["auto", "light", "dark"];
  const actions = { // found by id, because the parts of a live page are replaced together with their buttons
    whole: () => zoom(first, last),
    log: (button) => {
      [logLatency, logChosen] = [!logLatency, true];
      press(button, logLatency);
      draw();
    },
    clock: (button) => {
      clock = clock === "utc" ? "elapsed" : "utc";
      press(button, clock === "utc");
      draw();
    },
    theme: (button) => {
      const next = themes[(themes.indexOf(root.dataset.theme ?? "auto") + 1) % themes.length];
      if (next === "auto") delete root.dataset.theme;
      else root.dataset.theme = next;
      button.textContent = `Theme: ${next}`;
      draw();
    },
  };
  const clicked = (event) => {
    const button = event.target.closest("button");
    if (button?.id in actions) actions[button.id](button);
    if (button && "from" in button.dataset) {
      const [from, to] = [Number(button.dataset.from), Number(button.dataset.to)];
      const room = "tight" in button.dataset ? 0 : Math.max(10, 0.75 * (to - from));
      zoom(from - room, to + room);
      if (!("tight" in button.dataset)) document.querySelector(".controls").scrollIntoView({ block: "start" });
    }
    const link = event.target.closest("nav a");
    const part = link && byId(link.hash.slice(1)).closest("details");
    if (part) part.open = true;
  };
  let waiting;
  let width = innerWidth;
  const resized = () => {
    if (innerWidth === width) return; // a phone's address bar changes only the height
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 120);
  };
  let opened = [];
  const toPaper = () => { // on paper: the light theme, the width of the paper, and all short parts opened
    root.classList.add("paper");
    clearCursor();
    opened = [...document.querySelectorAll("details:not(.data, [open])")];
    for (const details of opened) details.open = true;
    draw();
  };
  const fromPaper = () => {
    root.classList.remove("paper");
    for (const details of opened) details.open = false;
    draw();
  };

  const selected = (event) => {
    if (event.target.id !== "endpoint") return;
    endpoint = event.target.value;
    choose();
    for (const chart of charts) {
      if (!chart.spec.endpoints?.[endpoint] && chart.spec.series === chart.spec.all && endpoint) continue;
      chart.shown = chart.spec.series.map((series) => !series.hidden);
      legendOf(chart);
      const title = chart.host.closest("figure").querySelector("figcaption");
      title.firstChild.textContent = `${chart.spec.title}${endpoint && chart.spec.series !== chart.spec.all ? ` of ${endpoint}` : ""} `;
      byId(`${chart.spec.id}-table`)?.querySelector(".scroll").replaceChildren();
      fillTable(chart);
    }
    draw();
  };

  // ---- the page
  const begin = async (data) => {
    await load(data);
    range = [first, last];
    logLatency = page.charts.some((spec) => spec.log);
    page.charts.filter((spec) => byId(spec.id)).forEach(add);
    press(byId("log"), logLatency);
    if (innerWidth <= 760) for (const part of [...document.querySelectorAll("details.part")].slice(2)) part.open = false;
    document.addEventListener("click", clicked);
    document.addEventListener("change", selected);
    document.addEventListener("toggle", (event) => {
      if (event.target.matches("details.part") && event.target.open) redraw();
    }, true);
    document.addEventListener("mouseleave", clearCursor);
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("resize", resized);
    addEventListener("beforeprint", toPaper);
    addEventListener("afterprint", fromPaper);
    matchMedia("print").addEventListener("change", draw);
    root.dataset.ready = "yes";
  };
  const alike = (a, b) => a.series.length === b.series.length && a.series.every((line, i) => line.name === b.series[i].name);
  const update = async (data) => { // more of the same run
    const whole = await load(data);
    if (whole) range = [first, last];
    let anew = false;
    for (const spec of page.charts) {
      const chart = charts.concat(planes).find((known) => known.spec.id === spec.id);
      if (chart === undefined && byId(spec.id)) add(spec);
      else if (chart && !alike(chart.spec, spec)) {
        Object.assign(chart, { spec, shown: spec.series.map((s) => !s.hidden) });
        legendOf(chart);
      } else {
        if (chart) chart.spec = spec;
        continue;
      }
      anew = true;
    }
    const log = page.charts.some((spec) => spec.log);
    if (!logChosen && log !== logLatency) {
      [logLatency, anew] = [log, true];
      press(byId("log"), logLatency);
    }
    for (const chart of charts.concat(planes)) {
      byId(`${chart.spec.id}-table`)?.querySelector(".scroll").replaceChildren();
      fillTable(chart);
      if (!anew) chart.plot.setData(dataOf(chart.spec), chart.spec.kind !== "time" || whole);
    }
    if (anew) draw();
    else if (charts.length) {
      if (!whole) for (const { plot } of charts) plot.setScale("x", { min: range[0], max: range[1] });
      follow(charts[0].plot);
    }
  };
  window.ltCharts = { begin, update };
  const embedded = JSON.parse(byId("data").textContent);
  if (embedded) begin(embedded);
})();
