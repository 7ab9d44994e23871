// Updates the page, and adds keys and buttons. Every page is complete without this script.
"use strict";
(() => {
  const { body } = document;
  const root = body.dataset.root;
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const search = document.getElementById("q");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  let { generation } = body.dataset;
  // Seconds by which this clock is ahead of podskew's.
  let ahead = Date.now() / 1000 - Number(body.dataset.now);

  const say = (text) => { live.textContent = text; };

  // Formats an age like podskew.
  const age = (s) => {
    const [m, h, d] = [Math.floor(s / 60), Math.floor(s / 3600), Math.floor(s / 86400)];
    if (s < 60) return `${s}s`;
    if (h < 1) return m < 10 && s % 60 ? `${m}m${s % 60}s` : `${m}m`;
    if (d < 1) return h < 10 && m % 60 ? `${h}h${m % 60}m` : `${h}h`;
    return d < 10 && h % 24 ? `${d}d${h % 24}h` : `${d}d`;
  };
  const tick = () => {
    const now = Date.now() / 1000 - ahead;
    for (const time of all("time", main)) {
      const text = age(Math.max(0, Math.floor(now - Date.parse(time.dateTime) / 1000)));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const copy = async (button, text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without https scripts cannot use the clipboard: then the command is selected, and a key copies it.
      getSelection().selectAllChildren(button.parentNode.querySelector("code"));
      if (!document.execCommand("copy")) { button.textContent = "Selected"; return; }
      getSelection().removeAllRanges();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  const equip = () => {
    for (const command of all("pre", main)) {
      const text = command.textContent;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.setAttribute("aria-label", `Copy: ${text.slice(0, 60)}`);
      button.addEventListener("click", () => copy(button, text));
      command.classList.add("has-copy");
      command.append(button);
    }
    tick();
  };

  // Returns a function that restores the focus of an element after an update.
  const place = (element) => {
    if (!element || !main.contains(element)) return () => {};
    const [name, at] = [element.localName, element.getAttribute("href") ?? element.textContent];
    return () => all(name, main).find((it) => (it.getAttribute("href") ?? it.textContent) === at)?.focus({ preventScroll: true });
  };
  const show = (page) => {
    const rows = new Map(all("tbody tr", main).map((row) => [row.querySelector("a")?.getAttribute("href"), row.textContent]));
    const open = all("details", main).map((details) => details.open);
    const focus = place(document.activeElement);
    main.replaceChildren(...page.getElementById("main").childNodes);
    document.title = page.title;
    ({ generation } = page.body.dataset);
    ahead = Date.now() / 1000 - Number(page.body.dataset.now);
    all("details", main).forEach((details, at) => { details.open = open[at] ?? false; });
    equip();
    for (const row of all("tbody tr", main)) {
      const before = rows.get(row.querySelector("a")?.getAttribute("href"));
      if (before !== undefined && before !== row.textContent) row.classList.add("flash");
    }
    focus();
  };

  let [asked, busy, last] = [false, false, 0];
  const refresh = async () => {
    asked = true;
    // Does not update while text is selected or the page is hidden.
    if (busy || document.hidden || !getSelection().isCollapsed) return;
    [busy, asked] = [true, false];
    try {
      await new Promise((done) => { setTimeout(done, Math.max(0, last + 1000 - Date.now())); });
      last = Date.now();
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!(answer.headers.get("content-type") ?? "").startsWith("text/html")) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (page.getElementById("main")) show(page);
      say(source ? "● live" : "○ every 5 s");
    } catch (error) {
      say(`cannot refresh: ${error.message}`);
      asked = true;
    }
    busy = false;
  };
  const concerns = (changed) => !changed || !body.dataset.workload || changed.includes(body.dataset.workload);

  let source = null;
  let tag = null;
  const poll = () => {
    source = null;
    say("○ every 5 s");
    setInterval(async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(`${root}api/v1/summary`, { cache: "no-cache" });
        const now = answer.headers.get("etag");
        if (now !== tag && tag !== null) refresh();
        tag = now;
      } catch (error) {
        say(`cannot refresh: ${error.message}`);
      }
    }, 5000);
  };
  const listen = () => {
    if (!window.EventSource) { poll(); return; }
    source = new EventSource(`${root}events`);
    source.addEventListener("open", () => say("● live"));
    source.addEventListener("hello", ({ data }) => {
      if (String(JSON.parse(data).generation) !== generation) refresh();
    });
    source.addEventListener("message", ({ data }) => {
      if (concerns(JSON.parse(data).changed)) refresh();
    });
    source.addEventListener("error", () => {
      // 204: all streams are taken.
      if (source?.readyState === EventSource.CLOSED) poll();
      else say("○ reconnecting");
    });
  };
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", ({ persisted }) => { if (persisted) { listen(); refresh(); } });

  const help = document.createElement("dialog");
  help.setAttribute("aria-label", "Keys");
  help.innerHTML = "<h2>Keys</h2><p><kbd>/</kbd> search<br><kbd>j</kbd> <kbd>k</kbd> next and previous workload<br><kbd>Enter</kbd> open it<br><kbd>Esc</kbd> back<br><kbd>?</kbd> these keys</p><form method=\"dialog\"><button>Close</button></form>";
  body.append(help);

  const move = (by) => {
    const rows = all("table.workloads tbody tr", main);
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
    row.querySelector("a")?.focus();
    row.scrollIntoView({ block: "nearest" });
  };
  const keys = {
    "/": () => { search.focus(); search.select(); },
    "?": () => help.showModal(),
    j: () => move(1),
    k: () => move(-1),
    Escape: () => {
      if (main.contains(document.activeElement) && document.activeElement !== main) document.activeElement.blur();
      else if (root !== "./" || location.search) location.assign(root);
    },
  };
  addEventListener("keydown", (event) => {
    const typed = event.target.closest?.("input, textarea, select, [contenteditable], dialog[open]");
    if (event.ctrlKey || event.metaKey || event.altKey || typed || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  equip();
  listen();
  setInterval(tick, 1000);
  setInterval(() => { if (asked) refresh(); }, 1000);
})();
