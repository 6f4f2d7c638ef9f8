// A browser that is told to keep nothing refuses its storage; the theme's scripts would end there, and the search with them.
for (const name of ["localStorage", "sessionStorage"]) {
  try {
    window[name].length;
  } catch {
    const kept = new Map();
    Object.defineProperty(window, name, {
      value: {
        getItem: key => kept.get(String(key)) ?? null,
        setItem: (key, value) => { kept.set(String(key), String(value)); },
        removeItem: key => { kept.delete(String(key)); },
        clear: () => kept.clear(),
        key: place => [...kept.keys()][place] ?? null,
        get length() { return kept.size; },
      },
    });
  }
}
