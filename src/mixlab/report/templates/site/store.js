// Data of the page: scripts beside it, each of which hands over one value under its name when it is loaded.

const KEPT_FILES = 96;
const arrived = new Map();
const pending = new Map();

window.mixlabData = (name, value) => arrived.set(name, value);

// Drops the files of answers that were not looked at for longest.
function trimStore() {
  const held = [...arrived.keys()].filter((name) => name.startsWith("answers/"));
  held.slice(0, Math.max(0, held.length - KEPT_FILES)).forEach((name) => arrived.delete(name));
}

function load(name) {
  if (arrived.has(name)) {
    const value = arrived.get(name);
    arrived.delete(name);
    arrived.set(name, value);
    return Promise.resolve(value);
  }
  if (pending.has(name)) return pending.get(name);
  const promise = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const end = (settle) => {
      script.remove();
      pending.delete(name);
      settle();
      trimStore();
    };
    script.src = `data/${name}.js`;
    script.onload = () => end(() =>
      arrived.has(name) ? resolve(arrived.get(name)) : reject(new Error(`data/${name}.js holds no data`)));
    script.onerror = () => end(() => reject(new Error(`data/${name}.js cannot be loaded; it belongs beside the page`)));
    document.head.append(script);
  });
  pending.set(name, promise);
  return promise;
}

// The number of the last of `starts` that is not beyond `row`: which file a row stands in.
function findChunk(starts, row) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}
