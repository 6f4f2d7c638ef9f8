// The gallery: maps that Python computed (pictures/data.js), drawn for one network, one input and one class at a time, a cell's value under every method.
(() => {
  const data = window.atlasGallery;
  const root = document.getElementById("gallery-live");
  if (!data || !root) return;
  const { make, plural, asked: stated, onState } = window.atlas;
  const ink = name => getComputedStyle(document.body).getPropertyValue(name).trim();
  const PLUS = "#d9822b", MINUS = "#3f6fd1", LEVELS = 127, MARKED = 0.25;
  const KINDS = { digits: "Digits", scenes: "Composed scenes", sentences: "Sentences" };
  const names = Object.keys(data.places);
  const methods = new Map(data.methods.map(method => [method.id, method]));

  // -- state: kept in the fragment ------------------------------------------------------------------------------------------------------------

  const state = { model: names[0], input: 0, class: 0, family: "", text: "", only: false, methods: new Set(), cell: null };
  const place = () => data.places[state.model];
  const items = () => data.data[place().data].items;
  const item = () => items()[state.input];
  const classes = () => place().explained[state.input];
  const sentence = () => place().data === "sentences";
  const read = () => {
    const asked = stated();
    state.methods = new Set((asked.get("methods") ?? "").split(",").filter(id => methods.has(id)));
    state.model = names.includes(asked.get("model")) ? asked.get("model") : names[0];
    const input = Number(asked.get("input") ?? 0);
    state.input = Number.isInteger(input) && input >= 0 && input < place().explained.length ? input : 0;
    state.class = Math.max(0, classes().findIndex(k => place().classes[k] === asked.get("class")));
    state.family = data.families.some(family => family.id === asked.get("family")) ? asked.get("family") : "";
    state.text = asked.get("text") ?? "";
    state.only = asked.get("only") === "yes" && state.methods.size > 0;
    state.cell = null;
  };
  const keep = () => {
    const parts = new URLSearchParams();
    if (state.model !== names[0]) parts.set("model", state.model);
    if (state.input) parts.set("input", state.input);
    if (state.class) parts.set("class", place().classes[classes()[state.class]]);
    if (state.family) parts.set("family", state.family);
    if (state.text) parts.set("text", state.text);
    if (state.only) parts.set("only", "yes");
    if (state.methods.size) parts.set("methods", [...state.methods].join(","));
    const query = parts.toString().replaceAll("%2C", ",");
    if (query || location.hash.startsWith("#?")) history.replaceState(null, "", query ? `#?${query}` : location.pathname.split("/").pop());
  };

  // -- numbers --------------------------------------------------------------------------------------------------------------------------------

  const decoded = text => Int8Array.from(atob(text), letter => letter.charCodeAt(0));
  const mapOf = id => {
    const entry = data.maps[id]?.[state.model];
    if (!entry) return null;
    const number = state.input * classes().length + state.class;
    return { ...entry, rows: entry.grid[0], columns: entry.grid[1], levels: decoded(entry.maps[number]), top: entry.tops[number], number };
  };
  const said = (value, unsigned) => (value < 0 ? "−" : value > 0 && !unsigned ? "+" : "") + Math.abs(value).toPrecision(2).replace(/e\+?(-?)(\d+)/, " · 10^$1$2");
  const valueAt = (map, [row, column]) => {
    // The cursor is a place of the input in parts of its height and width; a patch answers for all its pixels.
    const at = Math.floor(row * map.rows) * map.columns + Math.floor(column * map.columns);
    return { at, level: map.levels[at], value: (map.levels[at] / LEVELS) * map.top };
  };
  const softmax = logits => {
    const most = Math.max(...logits), powers = logits.map(logit => Math.exp(logit - most)), sum = powers.reduce((a, b) => a + b);
    return powers.map(power => power / sum);
  };
  const percent = share => (share >= 0.0995 ? `${Math.round(100 * share)} %` : share >= 0.001 ? `${(100 * share).toFixed(1)} %` : "< 0.1 %");

  // -- drawing --------------------------------------------------------------------------------------------------------------------------------

  const SIDE = 256;
  const canvas = () => make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
  const cells = (target, rows, columns, paint) => {
    const pen = target.getContext("2d"), high = SIDE / rows, wide = SIDE / columns;
    pen.clearRect(0, 0, SIDE, SIDE);
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) paint(pen, row * columns + column, column * wide, row * high, wide, high);
  };
  const drawInput = (target, shown) => {
    const rows = shown.pixels.length, flat = shown.pixels.flat();
    const dark = document.body.dataset.mdColorScheme === "slate";
    cells(target, rows, shown.pixels[0].length, (pen, at, x, y, wide, high) => {
      pen.fillStyle = dark ? "#e3e6e4" : "#1c2126";
      pen.globalAlpha = flat[at] / shown.top;
      pen.fillRect(x, y, wide, high);
      pen.globalAlpha = 1;
    });
    if (!shown.box) return;
    const [top, left, height, width] = shown.box.map(pixels => (pixels * SIDE) / rows), pen = target.getContext("2d");
    pen.strokeStyle = ink("--good");
    pen.lineWidth = 5;
    pen.setLineDash([12, 8]);
    pen.strokeRect(left + 2, top + 2, width - 4, height - 4);
    pen.setLineDash([]);
  };
  const drawMap = (target, map) => {
    const sheet = ink("--sheet") || "#ffffff";
    cells(target, map.rows, map.columns, (pen, at, x, y, wide, high) => {
      const strength = Math.abs(map.levels[at]) / LEVELS;
      pen.globalAlpha = strength;
      pen.fillStyle = map.levels[at] > 0 ? PLUS : MINUS;
      pen.fillRect(x, y, wide, high);
      pen.globalAlpha = 1;
      if (map.levels[at] < 0 && strength >= MARKED) {
        pen.fillStyle = sheet;
        pen.fillRect(x + wide * 0.28, y + high * 0.44, wide * 0.44, Math.max(2, high * 0.12));
      }
    });
    if (!state.cell) return;
    const { at } = valueAt(map, state.cell), pen = target.getContext("2d"), wide = SIDE / map.columns, high = SIDE / map.rows;
    pen.strokeStyle = ink("--ink");
    pen.lineWidth = 5;
    pen.strokeRect((at % map.columns) * wide + 2.5, Math.floor(at / map.columns) * high + 2.5, wide - 5, high - 5);
  };
  const drawWords = (target, map, words) => {
    target.replaceChildren(...words.flatMap((word, at) => {
      const level = map.levels[at] / LEVELS, sign = level > 0 ? "plus" : level < 0 ? "minus" : "none";
      const inside = make("span", { class: `word ${sign}`, "data-at": at, style: `--strength: ${Math.abs(level).toFixed(2)}` }, make("span", { class: "sign" }, map.unsigned ? "" : level > 0 ? "+" : level < 0 ? "−" : ""), word);
      if (state.cell && valueAt(map, state.cell).at === at) inside.classList.add("here");
      return [inside, " "];
    }));
  };

  // -- the frame ------------------------------------------------------------------------------------------------------------------------------

  const model = make("select", { "aria-label": "Network" });
  for (const [kind, title] of Object.entries(KINDS)) {
    const inside = names.filter(name => data.places[name].data === kind).map(name => make("option", { value: name }, `${title}: ${name.replaceAll("-", " ")}`));
    if (inside.length) model.append(make("optgroup", { label: title }, ...inside));
  }
  const about = make("p", { class: "gallery-about" });
  const inputs = make("div", { class: "gallery-inputs" });
  const scores = make("div", { class: "gallery-classes" });
  const text = make("input", { type: "search", placeholder: "Name of a method", "aria-label": "Show methods whose name contains" });
  const family = make("select", { "aria-label": "Show methods of the family" }, make("option", { value: "" }, "all families"), ...data.families.map(f => make("option", { value: f.id }, f.name)));
  const only = make("input", { type: "checkbox" });
  const counted = make("span", { class: "gallery-count", role: "status" });
  const readout = make("output", { class: "gallery-readout", "aria-live": "polite" });
  const shelf = make("div", { class: "gallery-shelf" });
  root.replaceChildren(
    make("div", { class: "gallery-choice" },
      make("div", { class: "gallery-model" }, make("label", {}, "Network ", model), about),
      make("fieldset", {}, make("legend", {}, "Input"), inputs),
      make("fieldset", {}, make("legend", {}, "Class explained"), scores)),
    make("div", { class: "gallery-tools" }, make("label", {}, "Methods ", text), make("label", {}, "of ", family), make("label", {}, only, " chosen only"), counted),
    readout, shelf);
  root.hidden = false;
  let cards = [];

  const radio = (group, value, checked, change, ...inside) => {
    const input = make("input", { type: "radio", name: `gallery-${group}`, value });
    input.checked = checked;
    input.addEventListener("change", change);
    return make("label", {}, input, ...inside);
  };
  const showInputs = () => {
    inputs.className = `gallery-inputs ${sentence() ? "as-text" : ""}`;
    inputs.replaceChildren(...place().explained.map((_, number) => {
      const shown = items()[number];
      const choose = () => { state.input = number; state.class = 0; state.cell = null; showClasses(); showMaps(); keep(); };
      if (shown.words) return radio("input", number, number === state.input, choose, make("span", {}, shown.words.join(" ")));
      const picture = canvas();
      drawInput(picture, shown);
      return radio("input", number, number === state.input, choose, picture, make("span", { class: "sr" }, `${place().data === "scenes" ? "scene with the digit" : "digit"} ${shown.label}`));
    }));
  };
  const showClasses = () => {
    const shares = softmax(place().logits[state.input]), best = shares.indexOf(Math.max(...shares));
    scores.replaceChildren(...place().classes.map((name, number) => {
      const which = classes().indexOf(number);
      const bar = make("span", { class: "bar", style: `--share: ${(100 * shares[number]).toFixed(1)}%` });
      const words = [make("b", {}, name), bar, make("span", { class: "share" }, percent(shares[number])), make("span", { class: "logit" }, `score ${place().logits[state.input][number].toFixed(1).replace("-", "−")}${number === best ? ", read" : ""}`)];
      if (which < 0) return make("span", { class: "silent" }, ...words);
      return radio("class", name, which === state.class, () => { state.class = which; showMaps(); keep(); }, ...words);
    }));
  };
  const showModel = () => {
    const here = place();
    model.value = state.model;
    const described = here.description[0].toUpperCase() + here.description.slice(1);
    about.textContent = `${described}. Test accuracy ${(100 * here.accuracy).toFixed(1)} %, ${here.parameters.toLocaleString("en")} parameters. ${data.data[here.data].description}`;
  };

  // -- maps -----------------------------------------------------------------------------------------------------------------------------------

  const sumLine = map => {
    if (!map.sums) return [];
    const line = make("span", { class: "sum" }, `sum ${map.sums[map.number].toFixed(2)}, expected ${map.expected[map.number].toFixed(2)}`.replaceAll("-", "−"));
    line.title = `Expected: ${map.compared}`;
    return [line];
  };
  // A long name may break where a capital follows a small letter: Pattern|Attribution.
  const humps = name => name.split(/(?<=\p{Ll})(?=\p{Lu})/u).flatMap((part, n) => (n ? [make("wbr"), part] : [part]));
  const card = (method, map) => {
    const chosen = state.methods.has(method.id);
    const pin = make("button", { type: "button", class: "pin", "aria-pressed": String(chosen), "aria-label": `Choose ${method.name}`, title: "Choose: stands first" }, chosen ? "★" : "☆");
    pin.addEventListener("click", () => {
      if (!state.methods.delete(method.id)) state.methods.add(method.id);
      if (!state.methods.size) state.only = only.checked = false;
      showMaps();
      keep();
      shelf.querySelector(`[data-method="${method.id}"] .pin`)?.focus();
    });
    const drawn = sentence() ? make("div", { class: "words" }) : canvas();
    const field = make("div", { class: "field", tabindex: "0", role: "group", "aria-roledescription": "map", "aria-label": `${method.name}; arrow keys move from ${sentence() ? "word to word" : "cell to cell"}` }, drawn);
    const value = make("span", { class: "value" });
    const notes = [map.unsigned ? "no sign" : "", map["same-for-every-class"] && classes().length > 1 ? "same for every class" : ""].filter(Boolean);
    const small = make("small", {}, value, ...sumLine(map), ...(notes.length ? [make("span", { class: "notes" }, notes.join("; "))] : []), make("span", { class: "settings" }, map.settings));
    const box = make("div", { class: `gallery-card${chosen ? " chosen" : ""}`, "data-method": method.id }, make("div", { class: "head" }, make("a", { href: method.url, title: method.name }, ...humps(method.short)), pin), field, small);
    cards.push({ method, map, drawn, field, value });
    return box;
  };
  const draw = entry => { if (sentence()) drawWords(entry.drawn, entry.map, item().words); else drawMap(entry.drawn, entry.map); };
  const showMaps = () => {
    const wanted = state.text.trim().toLowerCase();
    const passes = method => state.methods.has(method.id) || (!state.only && (!state.family || method.family === state.family) && (method.name.toLowerCase().includes(wanted) || method.short.toLowerCase().includes(wanted)));
    cards = [];
    const groups = [{ id: "chosen", name: "Chosen", of: method => state.methods.has(method.id) }, ...data.families.map(f => ({ ...f, of: method => method.family === f.id && !state.methods.has(method.id) }))];
    const parts = [];
    for (const group of groups) {
      const inside = data.methods.filter(method => group.of(method) && passes(method)).map(method => [method, mapOf(method.id)]).filter(([, map]) => map);
      if (inside.length) parts.push(make("h2", { id: `shown-${group.id}` }, group.name), make("div", { class: `gallery-cards ${sentence() ? "as-text" : ""}` }, ...inside.map(([method, map]) => card(method, map))));
    }
    const reasons = new Map();
    for (const [id, reason] of Object.entries(data.missing[state.model])) if (methods.has(id) && passes(methods.get(id))) reasons.set(reason, [...(reasons.get(reason) ?? []), methods.get(id)]);
    if (reasons.size) parts.push(make("h2", { id: "shown-not-here" }, "Not for this network"), make("ul", { class: "gallery-missing" }, ...[...reasons].map(([reason, which]) => make("li", {}, ...which.flatMap((method, k) => [k ? ", " : "", make("a", { href: method.url }, method.name)]), `: ${reason[0].toLowerCase()}${reason.slice(1)}`))));
    shelf.replaceChildren(...parts);
    cards.forEach(draw);
    counted.textContent = plural(cards.length, "method");
    // The cell that was chosen stays chosen: it is read off the map it was pointed at on, or off the first if that one is not shown.
    tell(state.cell ? (cards.find(each => each.method.id === pointed) ?? cards[0]) : null);
  };

  // -- the cursor: one place of the input, its value under every method -----------------------------------------------------------------------

  const where = map => {
    const { at } = valueAt(map, state.cell);
    if (sentence()) return `“${item().words[at]}”`;
    const sizes = [data.data[place().data].items[state.input].pixels.length / map.rows, data.data[place().data].items[state.input].pixels[0].length / map.columns];
    const name = (from, size) => (size === 1 ? `${from + 1}` : `${from * size + 1}–${(from + 1) * size}`);
    return `row ${name(Math.floor(at / map.columns), sizes[0])}, column ${name(at % map.columns, sizes[1])}`;
  };
  let pointed = null;
  const tell = entry => {
    if (entry) pointed = entry.method.id;
    for (const each of cards) {
      const found = state.cell ? valueAt(each.map, state.cell) : null;
      each.value.textContent = found ? said(found.value, each.map.unsigned) : `largest ${each.map.top.toPrecision(2)}`.replace(/e\+?(-?)(\d+)/, " · 10^$1$2");
      each.value.classList.toggle("live", Boolean(found));
    }
    if (!entry || !state.cell) {
      readout.textContent = sentence() ? "Point at a word, or focus a sentence and use the arrow keys, to read its number under every method." : "Point at a map, or focus one and use the arrow keys, to read the value of a cell under every method.";
      return;
    }
    const { value, level } = valueAt(entry.map, state.cell);
    readout.textContent = `${entry.method.name}, ${where(entry.map)}: ${said(value, entry.map.unsigned)} (${Math.round((100 * Math.abs(level)) / LEVELS)} % of its largest)`;
  };
  const move = (entry, cell) => {
    const before = state.cell && valueAt(entry.map, state.cell).at;
    state.cell = cell;
    if (before === null || before !== (cell && valueAt(entry.map, cell).at)) cards.forEach(draw);
    tell(entry);
  };
  const entryOf = target => cards.find(entry => entry.field === target.closest?.(".field"));
  const spot = (entry, event) => {
    if (sentence()) {
      const word = event.target.closest(".word");
      return word ? [0, (Number(word.dataset.at) + 0.5) / entry.map.columns] : null;
    }
    const box = entry.drawn.getBoundingClientRect();
    const inside = share => Math.min(0.999, Math.max(0, share));
    return [inside((event.clientY - box.top) / box.height), inside((event.clientX - box.left) / box.width)];
  };
  shelf.addEventListener("pointermove", event => {
    const entry = entryOf(event.target), cell = entry && spot(entry, event);
    if (cell) move(entry, cell);
  });
  shelf.addEventListener("focusin", event => {
    const entry = entryOf(event.target);
    if (entry && event.target === entry.field) move(entry, state.cell ?? [0.5 / entry.map.rows, 0.5 / entry.map.columns]);
  });
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  shelf.addEventListener("keydown", event => {
    const entry = entryOf(event.target), step = STEPS[event.key];
    if (event.key === "Escape" && state.cell) { state.cell = null; cards.forEach(draw); tell(null); }
    if (!entry || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const { rows, columns } = entry.map, last = sentence() ? item().words.length : columns;
    const at = valueAt(entry.map, state.cell ?? [0, 0]).at;
    const row = Math.min(rows - 1, Math.max(0, Math.floor(at / columns) + step[0]));
    const column = Math.min(last - 1, Math.max(0, (at % columns) + step[1] + (sentence() ? step[0] : 0)));
    move(entry, [(row + 0.5) / rows, (column + 0.5) / columns]);
  });

  // -- controls -------------------------------------------------------------------------------------------------------------------------------

  const showAll = () => { text.value = state.text; family.value = state.family; only.checked = state.only; showModel(); showInputs(); showClasses(); showMaps(); };
  model.addEventListener("change", () => {
    const before = place().data, input = state.input, wanted = place().classes[classes()[state.class]];
    state.model = model.value;
    state.input = place().data === before ? input : 0;
    state.class = place().data === before ? Math.max(0, classes().findIndex(k => place().classes[k] === wanted)) : 0;
    state.cell = null;
    showAll();
    keep();
  });
  text.addEventListener("input", () => { state.text = text.value; showMaps(); keep(); });
  family.addEventListener("change", () => { state.family = family.value; showMaps(); keep(); });
  only.addEventListener("change", () => { state.only = only.checked; showMaps(); keep(); });
  onState(() => { read(); showAll(); });
  new MutationObserver(() => { showInputs(); cards.forEach(draw); }).observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  read();
  showAll();
})();
