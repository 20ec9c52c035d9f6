// Ask the listener of a run for news and show them. When the run has ended, replace this page by the finished report.
(async () => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) { // stored for a reload and removed from the address, so that links within the page cannot lose it
    sessionStorage.setItem("lt-key", given);
    history.replaceState(null, "", location.pathname);
  }
  const key = sessionStorage.getItem("lt-key") ?? "";
  const ask = (path, options = {}) => fetch(path, { cache: "no-store", ...options,
    headers: { Authorization: `Bearer ${key}`, ...options.headers } });
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const element = (kind, words, name) => {
    const made = document.createElement(kind);
    made.textContent = words;
    if (name) made.className = name;
    return made;
  };
  const names = { starting: "Starting", running: "Running", ending: "Stopping", reporting: "Over", done: "Over", failed: "There is no run" };
  const say = (state, text) => {
    const lead = element("strong", names[state] ?? state);
    byId("state").replaceChildren(lead, text ? `: ${text}` : "");
  };
  byId("stop").addEventListener("click", async (event) => {
    if (!confirm("Stop the run? Users finish what they began, and everything recorded so far is kept and reported.")) return;
    event.target.disabled = true;
    await ask("/stop", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  });

  const show = (told) => {
    const analysed = told.analysed_s ? `tables and spikes are those of the first ${clock(told.analysed_s)}` : "";
    say(told.state, told.text || (told.state === "ending" ? "users finish what they began" : told.trouble || analysed));
    byId("stop").disabled = told.state !== "running" && told.state !== "starting";
    byId("tiles").replaceChildren(...told.tiles.map((tile) => {
      const box = element("div", "", tile.tone);
      const value = element("dd", tile.value);
      if (tile.small) value.append(element("small", tile.small));
      box.append(element("dt", tile.name), value);
      return box;
    }));
    byId("events").replaceChildren(...(told.events ?? []).slice().reverse().map((text) => element("li", text)));
    if (told.tiles.length) document.title = `${told.tiles[0].value} · p95 ${told.tiles[3].value}`;
  };
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

  const titleOf = (details) => details.querySelector("summary")?.textContent ?? "";
  const put = (html) => { // the parts of the report; charts and controls are kept, so that zoom and cursor do not change
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const body = byId("body");
    const focused = document.activeElement;
    const folded = new Map([...body.querySelectorAll("details")].map((details) => [titleOf(details), details.open]));
    for (const kept of body.querySelectorAll("figure, .controls, #at, #spoken")) {
      const chart = kept.querySelector(".chart");
      const place = chart ? fresh.querySelector(`#${CSS.escape(chart.id)}`)?.closest("figure")
        : fresh.querySelector(kept.id ? `#${kept.id}` : ".controls");
      place?.replaceWith(kept);
    }
    for (const details of fresh.querySelectorAll("details")) {
      const open = folded.get(titleOf(details));
      if (open !== undefined) details.open = open;
    }
    const top = scrollY;
    body.replaceChildren(...fresh.childNodes);
    scrollTo(0, top);
    if (focused?.isConnected) focused.focus({ preventScroll: true });
  };

  const end = async () => {
    const html = await (await ask("/report")).text();
    const [top, theme] = [scrollY, root.dataset.theme];
    document.open();
    document.write(html);
    document.close();
    if (theme) document.documentElement.dataset.theme = theme;
    requestAnimationFrame(() => scrollTo(0, top));
  };

  let [version, analysis, drawn, silent] = [-1, 0, 0, 0];
  let begun = false;
  for (;;) {
    let told;
    try {
      const answer = await ask(`/state?after=${version}&have=${drawn}`);
      told = await answer.json();
      if (!answer.ok) {
        say("failed", answer.status === 401 ? "open the address that `lt run` printed, with its key." : told.error);
        return;
      }
      silent = 0;
    } catch {
      silent += 1;
      if (silent > 3) {
        say("failed", "lt has ended. What was recorded is kept: `lt report latest` shows it.");
        return;
      }
      await wait(500);
      continue;
    }
    version = told.version;
    if (told.state === "done") return end();
    show(told);
    if (told.state === "failed") return;
    if (document.hidden) continue; // the page is hidden, so the numbers can wait
    try {
      if (told.analysis !== analysis) {
        put(await (await ask("/body")).text());
        analysis = told.analysis;
      }
      if (told.data && byId("body").firstChild) {
        if (begun) await ltCharts.update(told.data);
        else await ltCharts.begin(told.data);
        [begun, drawn] = [true, told.drawn];
      }
    } catch (error) { // later news, and above all the end, are still shown
      console.error(error);
    }
  }
})();
